"""Trust: why an item is shown, what showing it causes, and who is served how well."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
