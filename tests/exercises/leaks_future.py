"""Right answers to ``leaks_future`` written in other ways, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.leaks_future import Model


def _pair(t: int, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(t)
    x = rng.normal(size=(n, 4))
    changed = x.copy()
    changed[t:] = rng.normal(size=(n - t, 4))
    return x, changed


def _finds(
    model: Model, positions: range = range(1, 6), watch: Callable = lambda t: slice(t)
) -> bool:
    for t in positions:
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


def _next_input_only(model: Model) -> bool:
    """Moves one input at a time, and watches the output right before it."""
    x = np.random.default_rng(0).normal(size=(6, 4))
    for t in range(1, 6):
        moved = x.copy()
        moved[t] += 1.0
        if not np.allclose(model(moved)[t - 1], model(x)[t - 1], atol=1e-9):
            return True
    return False


CORRECT = (
    _finds,
    _by_slope,
    lambda model: _finds(model, watch=lambda t: slice(t - 1, t)),
)

WRONG = (
    (lambda model: False, "no leak in attention without a mask"),
    (
        lambda model: _finds(model, watch=lambda t: slice(None)),
        "accuses an honest model",
    ),
    (
        lambda model: _finds(model, positions=range(3, 4), watch=lambda t: slice(t - 1)),
        "misses a mask that is off by one",
    ),
    (
        lambda model: _finds(model, positions=range(3, 4)),
        "misses a leak at the end of the row",
    ),
    (
        lambda model: _finds(model, watch=lambda t: slice(t - 1, t) if t > 1 else slice(0)),
        "misses a leak at the first position",
    ),
    (
        lambda model: any(
            np.abs(model(_pair(t)[0])[:t] - model(_pair(t)[1])[:t]).max() > 0.05
            for t in range(1, 6)
        ),
        "misses a mean over time",
    ),
    (
        lambda model: _finds(model, positions=range(5, 6)),
        "between the first two positions",
    ),
    (
        lambda model: (
            not np.allclose(model(_pair(1, 2)[0])[:1], model(_pair(1, 2)[1])[:1], atol=1e-9)
        ),
        "misses a leak over two positions",
    ),
    (
        lambda model: _finds(model, positions=range(1, 2)) or _finds(model, positions=range(5, 6)),
        "from position 3 to position 1",
    ),
    (_next_input_only, "not only the one right before it"),
)

EQUIVALENT = {
    "without: rng = np.random.default_rng(0)": "the notebook has a generator of that name",
    "rng = np.random.default_rng(1)": "any seed serves",
    "x = rng.normal(size=(4, 6))": "any shape of four rows or more serves",
    "x = rng.normal(size=(7, 4))": "any shape of four rows or more serves",
    "x = rng.normal(size=(5, 4))": "any shape of four rows or more serves",
    "x = rng.normal(size=(6, 5))": "any shape of four rows or more serves",
    "x = rng.normal(size=(6, 3))": "any shape of four rows or more serves",
    "for t in range(0, len(x)):": "with t = 0 nothing is compared",
    "changed[t:] = rng.normal()": "one number for all later inputs is another input too",
    "if not np.allclose(model(x)[:t], model(changed)[:t]):": "comparison from the other side",
}
