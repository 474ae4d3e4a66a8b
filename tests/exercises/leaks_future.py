"""Right answers to ``leaks_future`` written in other ways, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.leaks_future import ACCUSED, MISSED, Model


def _pair(t: int, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(t)
    x = rng.normal(size=(n, 4))
    changed = x.copy()
    changed[t:] = rng.normal(size=(n - t, 4))
    return x, changed


def _finds(model: Model, places: range = range(1, 6), watch: Callable = lambda t: slice(t)) -> bool:
    for t in places:
        x, changed = _pair(t)
        if not np.allclose(model(x)[watch(t)], model(changed)[watch(t)], atol=1e-9):
            return True
    return False


def _by_slope(model: Model) -> bool:
    """A right answer written otherwise: one input at a time is moved a little."""
    x = np.random.default_rng(0).normal(size=(7, 3))
    before = model(x)
    for t in range(1, 7):
        moved = x.copy()
        moved[t] += 1e-3
        if np.abs(model(moved) - before)[:t].max() > 1e-12:
            return True
    return False


CORRECT = (
    _finds,
    _by_slope,
    lambda model: _finds(model, watch=lambda t: slice(t - 1, t)),
)

WRONG = (
    (lambda model: False, MISSED["attention without any mask"]),
    (
        lambda model: _finds(model, watch=lambda t: slice(None)),
        ACCUSED,
    ),
    (
        lambda model: _finds(model, places=range(3, 4), watch=lambda t: slice(t - 1)),
        MISSED["a mask that is off by one: every place sees its next"],
    ),
    (
        lambda model: _finds(model, places=range(3, 4)),
        MISSED["a mask whose last row but one sees the last place"],
    ),
    (
        lambda model: _finds(model, watch=lambda t: slice(t - 1, t) if t > 1 else slice(0)),
        MISSED["a mask whose first row sees everything"],
    ),
    (
        lambda model: any(
            np.abs(model(_pair(t)[0])[:t] - model(_pair(t)[1])[:t]).max() > 0.05
            for t in range(1, 6)
        ),
        MISSED["a running sum, less a hundredth of its mean over time"],
    ),
    (
        lambda model: _finds(model, places=range(5, 6)),
        MISSED["a mask whose place 0 sees place 1"],
    ),
    (
        lambda model: (
            not np.allclose(model(_pair(1, 2)[0])[:1], model(_pair(1, 2)[1])[:1], atol=1e-9)
        ),
        MISSED["a mask whose place 0 sees place 2"],
    ),
    (
        lambda model: _finds(model, places=range(1, 2)) or _finds(model, places=range(5, 6)),
        MISSED["a mask whose place 1 sees place 3"],
    ),
)
