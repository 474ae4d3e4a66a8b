"""Building blocks written to be read.

Optimizers, schedules and the gradient check are written in numpy; layers, losses and text
generation in torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
