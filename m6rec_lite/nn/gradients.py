"""Check gradients against finite differences of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m6rec_lite.nn.optim import Objective


@dataclass(frozen=True)
class GradientCheck:
    """Result of ``check_gradient``.

    Attributes:
        error: the largest relative error over the entries tried; in float64, below 1e-6 is
            correct, above 1e-3 is wrong, and values between occur if the loss has kinks.
        where: index of the parameter, then index of the entry, with the largest error.
        analytic: the objective's gradient at that entry.
        numeric: the difference quotient at that entry.
        tried: number of entries tried.
        verdict: the result in words; names a wrong sign and a constant factor.
    """

    error: float
    where: tuple[int, ...]
    analytic: float
    numeric: float
    tried: int
    verdict: str

    @property
    def ok(self) -> bool:
        """Whether the error is below 1e-5."""
        return self.error < 1e-5


def check_gradient(
    objective: Objective,
    parameters: Sequence[np.ndarray],
    *,
    step: float = 1e-6,
    entries: int = 200,
    seed: int = 0,
) -> GradientCheck:
    """Compare an objective's gradients with central differences of its loss.

    ``(L(theta + h) - L(theta - h)) / 2h`` has an error of order h^2, and the loss a relative
    rounding error of 1e-16, so that h = 1e-6 to 1e-5 suits float64. The relative error is
    ``|a - n| / max(|a|, |n|, 1e-3 scale)``, where ``scale`` is the largest gradient of all
    entries: it keeps rounding errors of very small gradients from counting.

    Args:
        objective: ``objective(*parameters) -> (loss, gradients)``. It must be deterministic.
        parameters: float64 arrays; not changed.
        step: h, times ``max(1, |theta|)``.
        entries: largest number of entries to try, drawn uniformly over all parameters.
        seed: seed of the draw.

    Raises:
        TypeError: if a parameter is not float64 (in float32 rounding dominates the differences).
        ValueError: if the shapes of a gradient and its parameter differ, or no entry can be tried.
    """
    parameters = [np.array(theta) for theta in parameters]  # copies
    for i, theta in enumerate(parameters):
        if theta.dtype != np.float64:
            raise TypeError(
                f"parameters[{i}] is {theta.dtype}; differences need float64: "
                "pass theta.astype(np.float64)"
            )
    gradients = [np.array(g) for g in objective(*parameters)[1]]
    if [g.shape for g in gradients] != [theta.shape for theta in parameters]:
        raise ValueError(
            f"gradients of shapes {[g.shape for g in gradients]} for parameters of shapes "
            f"{[theta.shape for theta in parameters]}"
        )
    sizes = [theta.size for theta in parameters]
    if entries < 1 or sum(sizes) == 0:
        raise ValueError(f"nothing to try: entries={entries}, parameters of sizes {sizes}")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(sum(sizes), size=min(entries, sum(sizes)), replace=False))
    starts = np.concatenate(([0], np.cumsum(sizes)))
    indices: list[tuple[int, ...]] = []
    analytic: list[float] = []
    numeric: list[float] = []
    for entry in chosen:
        which = int(np.searchsorted(starts, entry, side="right")) - 1
        theta = parameters[which]
        index = tuple(int(i) for i in np.unravel_index(entry - starts[which], theta.shape))
        old = theta[index]
        h = step * max(1.0, abs(old))
        theta[index] = old + h
        above = objective(*parameters)[0]
        theta[index] = old - h
        below = objective(*parameters)[0]
        theta[index] = old
        indices.append((which, *index))
        analytic.append(float(gradients[which][index]))
        numeric.append(float(above - below) / (2 * h))
    return _summarize(indices, np.array(analytic), np.array(numeric))


def _summarize(
    indices: list[tuple[int, ...]], analytic: np.ndarray, numeric: np.ndarray
) -> GradientCheck:
    """Return the largest error and the verdict for the entries tried."""
    if not (np.isfinite(analytic).all() and np.isfinite(numeric).all()):
        worst = int(np.argmin(np.isfinite(analytic) & np.isfinite(numeric)))
        error, verdict = np.inf, "not finite"
    else:
        size = np.maximum(np.abs(analytic), np.abs(numeric))
        errors = np.abs(analytic - numeric) / np.maximum(size, max(1e-3 * size.max(), 1e-12))
        worst, error = int(errors.argmax()), float(errors.max())
        verdict = "right" if error < 1e-5 else _likely_mistake(analytic, numeric)
    a, n = float(analytic[worst]), float(numeric[worst])
    return GradientCheck(error, indices[worst], a, n, len(indices), verdict)


def _likely_mistake(analytic: np.ndarray, numeric: np.ndarray) -> str:
    """Name the mistake if all entries are wrong by the same factor, or say that none is shown."""
    power = float(numeric @ numeric)
    factor = float(analytic @ numeric) / power if power > 0 else 0.0
    if factor == 0 or np.abs(analytic - factor * numeric).max() > 1e-4 * np.abs(analytic).max():
        return "wrong: no single factor explains it, so look at the entry named by where"
    if abs(factor - 1) < 1e-3:
        return "undecided: the difference is so small that rounding can cause it; try a larger step"
    if abs(factor + 1) < 1e-3:
        return "wrong: the gradient has the opposite sign everywhere (a step would climb the loss)"
    return f"wrong: the gradient is {factor:.4g} times what it should be, everywhere"
