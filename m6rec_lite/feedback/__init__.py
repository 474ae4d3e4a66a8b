"""The feedback loop: policies that learn live, and how to judge them from logs and in tests."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
