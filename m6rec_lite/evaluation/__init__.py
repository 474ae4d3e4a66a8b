"""Evaluation: metrics, the protocol of the course, significance.

``evaluate(model, split)`` returns a ``Report``; ``compare`` tests two reports against each other;
``ctr_metrics`` judges click probabilities.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
