"""Learning-rate schedules: functions from the step number to a factor of the base rate.

``step_decay``, ``cosine`` and ``warm_up`` return a function of the step t = 0, 1, ..., to be used
as ``optimizer.lr = base * factor(t)`` or passed to ``descend``. ``Plateau`` follows a loss instead.
Each equals its counterpart in ``torch.optim.lr_scheduler``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

#: Factor of the base rate at step t.
Schedule = Callable[[int], float]


class HasRate(Protocol):
    """An object with a learning rate, such as an ``Optimizer``."""

    lr: float


def _check_steps(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    """Return ``factor ** (t // every)`` as a function of t (torch's ``StepLR``).

    Raises:
        ValueError: if ``every`` is below 1 or ``factor`` not in (0, 1].
    """
    _check_steps("every", every)
    if not 0 < factor <= 1:
        raise ValueError(f"factor must be above 0 and at most 1, got {factor!r}")
    return lambda t: factor ** (t // every)


def cosine(steps: int, floor: float = 0.0) -> Schedule:
    """Return half a cosine wave from 1 to ``floor`` at t = ``steps``, constant afterwards.

    ``floor + (1 - floor) (1 + cos(pi t / steps)) / 2``; torch's ``CosineAnnealingLR`` up to
    ``steps``. Source: Loshchilov and Hutter, *SGDR*, 2017, equation 5.

    Raises:
        ValueError: if ``steps`` is below 1 or ``floor`` not in [0, 1].
    """
    _check_steps("steps", steps)
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must be in [0, 1], got {floor!r}")
    return lambda t: floor + (1 - floor) * (1 + math.cos(math.pi * min(t, steps) / steps)) / 2


def warm_up(steps: int, start: float = 0.1, then: Schedule | None = None) -> Schedule:
    """Return a linear increase from ``start`` to 1 over ``steps`` steps, followed by ``then``.

    Without ``then`` this is torch's ``LinearLR``; with ``then``, whose step 0 is the end of the
    warm-up, it is the ``SequentialLR`` of the two.

    Raises:
        ValueError: if ``steps`` is below 1 or ``start`` not in (0, 1].
    """
    _check_steps("steps", steps)
    if not 0 < start <= 1:
        raise ValueError(f"start must be above 0 and at most 1, got {start!r}")

    def factor(t: int) -> float:
        if t < steps:
            return start + (1 - start) * t / steps
        return then(t - steps) if then else 1.0

    return factor


class Plateau:
    """Lower the learning rate once a loss has stopped falling (torch's ``ReduceLROnPlateau``).

    A loss counts as better if it is below ``best * (1 - threshold)``. After more than ``patience``
    losses in a row that are not, the rate is multiplied by ``factor``.

    Args:
        optimizer: an object whose ``lr`` is changed.
        factor: in (0, 1).
        patience: number of losses without improvement before the rate falls, 0 or more.
        threshold: smallest relative improvement that counts, for losses above 0.
        lowest: lower bound of the rate; at most the optimizer's rate.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        optimizer: HasRate,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        lowest: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"factor must be above 0 and below 1, got {factor!r}")
        if patience < 0 or threshold < 0 or lowest < 0:
            raise ValueError(
                f"patience, threshold and lowest must be 0 or more, got {patience!r}, "
                f"{threshold!r} and {lowest!r}"
            )
        if lowest > optimizer.lr:
            raise ValueError(
                f"lowest must be at most the optimizer's rate, {optimizer.lr!r}, got {lowest!r}: a "
                "plateau would raise the rate; pass a smaller lowest"
            )
        self.optimizer = optimizer
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.lowest = lowest
        self.best = math.inf
        self.waited = 0

    def update(self, loss: float) -> float:
        """Record a loss, such as the validation loss, and return the resulting rate.

        Raises:
            ValueError: if the loss is NaN.
        """
        if math.isnan(loss):
            raise ValueError("the loss is NaN: training diverged")
        if loss < self.best * (1 - self.threshold):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            lowered = max(self.optimizer.lr * self.factor, self.lowest)
            self.optimizer.lr = min(self.optimizer.lr, lowered)
            self.waited = 0
        return self.optimizer.lr
