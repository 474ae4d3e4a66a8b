"""Building blocks written to be read: optimizers, schedules, a check of gradients."""

from m6rec_lite.nn.gradients import GradientCheck, check_gradient
from m6rec_lite.nn.optim import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Descent,
    DivergenceError,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
    descend,
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
