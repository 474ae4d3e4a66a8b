"""Is the derivative right? Compare it with differences of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m6rec_lite.nn.optim import Objective


@dataclass(frozen=True)
class GradientCheck:
    """What ``check_gradient`` found.

    Attributes:
        error: the largest relative error over the entries that were tried; below 1e-6 is right
            in float64, above 1e-3 is wrong, and in between are losses with kinks.
        where: place of the parameter, then index of the entry, with the largest error.
        analytic: the gradient that was given there.
        numeric: the difference quotient there.
        tried: how many entries were tried.
        verdict: the same in words; names the sign slip and the constant factor.
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

    ``(L(theta + h) - L(theta - h)) / 2h`` is right up to h^2, and each loss is exact up to 1e-16 of
    its size, so that h = 1e-6 to 1e-5 suits float64. Relative error:
    ``|a - n| / max(|a|, |n|, 1e-3 scale)``, where ``scale`` is the largest gradient of all: an
    entry whose gradient is next to nothing is not judged by rounding.

    Args:
        objective: ``objective(*parameters) -> (loss, gradients)``. It must be deterministic.
        parameters: float64 arrays; they are left as they were.
        step: h, times ``max(1, |theta|)``.
        entries: at most so many entries are tried, drawn evenly over all parameters.
        seed: of the draw.

    Returns:
        the largest error and where it is.

    Raises:
        TypeError: if a parameter is not float64 (differences drown in rounding in float32).
        ValueError: if a gradient has another shape than its parameter, or nothing can be tried.
    """
    parameters = [np.array(theta) for theta in parameters]  # copies: the caller's stay
    for place, theta in enumerate(parameters):
        if theta.dtype != np.float64:
            raise TypeError(
                f"parameters[{place}] is {theta.dtype}; differences need float64: "
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
    places, analytic, numeric = [], [], []
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
        places.append((which, *index))
        analytic.append(float(gradients[which][index]))
        numeric.append(float(above - below) / (2 * h))
    return _judge(places, np.array(analytic), np.array(numeric))


def _judge(
    places: list[tuple[int, ...]], analytic: np.ndarray, numeric: np.ndarray
) -> GradientCheck:
    """Errors of the entries tried, and what they look like together."""
    if not (np.isfinite(analytic).all() and np.isfinite(numeric).all()):
        worst = int(np.argmin(np.isfinite(analytic) & np.isfinite(numeric)))
        error, verdict = np.inf, "not finite"
    else:
        size = np.maximum(np.abs(analytic), np.abs(numeric))
        errors = np.abs(analytic - numeric) / np.maximum(size, max(1e-3 * size.max(), 1e-12))
        worst, error = int(errors.argmax()), float(errors.max())
        verdict = "right" if error < 1e-5 else _likely_slip(analytic, numeric)
    a, n = float(analytic[worst]), float(numeric[worst])
    return GradientCheck(error, places[worst], a, n, len(places), verdict)


def _likely_slip(analytic: np.ndarray, numeric: np.ndarray) -> str:
    """Whether one factor explains every entry: then the mistake has a name."""
    power = float(numeric @ numeric)
    factor = float(analytic @ numeric) / power if power > 0 else 0.0
    if factor == 0 or np.abs(analytic - factor * numeric).max() > 1e-4 * np.abs(analytic).max():
        return "wrong: no single factor explains it, so look at the entry named by where"
    if abs(factor + 1) < 1e-3:
        return "wrong: the gradient has the opposite sign everywhere (a step would climb the loss)"
    return f"wrong: the gradient is {factor:.4g} times what it should be, everywhere"
