"""Trust: why an item is shown, what showing causes, who is served how well, and what data leak."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
