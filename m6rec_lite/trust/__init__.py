"""Trust: what a recommender gives away about people, and how much it can be disturbed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
