"""Run an optimizer for several steps and stop if the loss diverges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from m6rec_lite.nn.optim import DivergenceError, Objective, Optimizer


@dataclass(frozen=True, eq=False)
class Descent:
    """Result of ``descend``.

    Attributes:
        losses: ``(steps + 1,)`` float64, before the first step and after each step.
        path: for each parameter its values at the same times, ``(steps + 1, *shape)``; None
            without ``keep_path``.
    """

    losses: np.ndarray
    path: list[np.ndarray] | None


def descend(
    objective: Objective,
    optimizer: Optimizer,
    steps: int,
    *,
    schedule: Callable[[int], float] | None = None,
    keep_path: bool = False,
    progress: bool = False,
) -> Descent:
    """Minimise an objective for ``steps`` steps; raise if the loss diverges.

    Args:
        objective: called with the optimizer's parameters; returns the loss and its gradients.
        optimizer: updates its parameters in place.
        steps: number of steps.
        schedule: factor of the optimizer's learning rate at step 0, 1, ... (see
            ``nn.schedules``); the base rate is restored at the end.
        keep_path: keep copies of the parameters after each step.
        progress: show a progress bar.

    Raises:
        DivergenceError: if the loss is not finite or exceeds a million times the first loss.
    """
    base = optimizer.lr
    losses: list[float] = []
    path: list[list[np.ndarray]] = [[] for _ in optimizer.parameters]
    try:
        for t in tqdm(range(steps + 1), "descend", disable=not progress, leave=False):
            loss, gradients = objective(*optimizer.parameters)
            losses.append(float(loss))
            if keep_path:
                for points, theta in zip(path, optimizer.parameters, strict=True):
                    points.append(theta.copy())
            if not np.isfinite(loss) or abs(loss) > 1e6 * max(abs(losses[0]), 1.0):
                raise DivergenceError(
                    f"{type(optimizer).__name__} diverged: the loss went from {losses[0]:.4g} to "
                    f"{loss:.4g} in {t} steps with lr={base:g}. Lower the learning rate (try "
                    f"{base / 10:g}), and check the sign of the gradient with check_gradient"
                )
            if t < steps:
                optimizer.lr = base * (schedule(t) if schedule else 1.0)
                optimizer.step(gradients)
    finally:
        optimizer.lr = base
    return Descent(np.array(losses), [np.array(p) for p in path] if keep_path else None)
