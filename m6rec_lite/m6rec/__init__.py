"""M6-Rec: behaviour as plain text, one prefix language model, every task (arXiv 2205.08084)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
