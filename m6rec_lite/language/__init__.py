"""Language models: n-grams, text for language models, GPT and BERT, and pretrained models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
