"""Feedback: what a recommender learns from its own logs and live, and how to judge it there."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
