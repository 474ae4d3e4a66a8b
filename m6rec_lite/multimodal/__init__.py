"""Models that read pictures and context beside text, and an encoder-decoder that writes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
