"""Building blocks written to be read.

Here stand the optimizers, schedules and the gradient check, in numpy. The networks' blocks, in
torch, are imported from the file each is read in: ``nn.rnn``, ``nn.attention``, ``nn.masks``,
``nn.positions``, ``nn.transformer``, ``nn.cache``, ``nn.packing``, ``nn.dropout``, ``nn.losses``;
and to write with a model ``nn.sampling``, ``nn.beams``, ``nn.repetition``, ``nn.decoding``,
``nn.likelihood``.
"""

from m6rec_lite.nn.descent import Descent, descend
from m6rec_lite.nn.gradients import GradientCheck, check_gradient
from m6rec_lite.nn.optim import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    DivergenceError,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
)
from m6rec_lite.nn.schedules import Plateau, cosine, step_decay, warm_up

__all__ = [
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Descent",
    "DivergenceError",
    "GradientCheck",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "Plateau",
    "RMSProp",
    "check_gradient",
    "cosine",
    "descend",
    "step_decay",
    "warm_up",
]
