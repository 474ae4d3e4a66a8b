"""Learning-rate schedules: the share of the base rate at each step, as plain functions.

``step_decay``, ``cosine`` and ``warm_up`` return a function of the step number t = 0, 1, ..., to
be used as ``optimizer.lr = base * share(t)`` or given to ``descend``. ``Plateau`` listens to a loss
instead. Each equals its counterpart in ``torch.optim.lr_scheduler``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from m6rec_lite.nn.optim import Optimizer

#: Share of the base rate at step t.
Schedule = Callable[[int], float]


def _check_steps(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")


def step_decay(every: int, factor: float = 0.1) -> Schedule:
    """``factor ** (t // every)``: a fall after every so many steps (torch's ``StepLR``).

    Raises:
        ValueError: if ``every`` is below 1 or ``factor`` not in (0, 1].
    """
    _check_steps("every", every)
    if not 0 < factor <= 1:
        raise ValueError(f"factor must be above 0 and at most 1, got {factor!r}")
    return lambda t: factor ** (t // every)


def cosine(steps: int, floor: float = 0.0) -> Schedule:
    """Half a wave from 1 down to ``floor`` at t = ``steps``, and ``floor`` from there on.

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
    """From ``start`` up to 1 in a straight line over ``steps`` steps, then ``then``.

    Alone it is torch's ``LinearLR``; with ``then``, which counts its steps from the end of the
    warm-up, it is ``SequentialLR`` of the two.

    Raises:
        ValueError: if ``steps`` is below 1 or ``start`` not in (0, 1].
    """
    _check_steps("steps", steps)
    if not 0 < start <= 1:
        raise ValueError(f"start must be above 0 and at most 1, got {start!r}")

    def share(t: int) -> float:
        if t < steps:
            return start + (1 - start) * t / steps
        return then(t - steps) if then else 1.0

    return share


class Plateau:
    """Lowers an optimizer's rate once a loss has stopped falling (torch's ``ReduceLROnPlateau``).

    A loss counts as better if it is below ``best * (1 - threshold)``. After more than ``patience``
    losses in a row that are not, the rate is multiplied by ``factor``.

    Args:
        optimizer: its ``lr`` is changed.
        factor: in (0, 1).
        patience: losses without progress that are borne, 0 or more.
        threshold: relative progress that counts, for losses above 0.
        lowest: the rate never falls below this; at most the optimizer's rate.

    Raises:
        ValueError: on a setting out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
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
        """Take note of a loss, such as one of validation; returns the rate from here on.

        Raises:
            ValueError: if the loss is NaN.
        """
        if math.isnan(loss):
            raise ValueError("the loss is NaN: training diverged before the plateau was asked")
        if loss < self.best * (1 - self.threshold):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            lowered = max(self.optimizer.lr * self.factor, self.lowest)
            self.optimizer.lr = min(self.optimizer.lr, lowered)
            self.waited = 0
        return self.optimizer.lr
