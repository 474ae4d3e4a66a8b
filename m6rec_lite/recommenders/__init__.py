"""Recommenders: one file per family, one interface (``Recommender``).

Networks are imported on first use, so that the classical models work where torch is not installed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
