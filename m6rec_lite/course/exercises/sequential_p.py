"""Exercise ``sequential_p``: a p-value that may be read at any time."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _ratio(differences: np.ndarray, variances: np.ndarray, prior: float) -> np.ndarray:
    """Likelihood ratio, averaged over differences of variance ``prior``."""
    total = variances + prior
    return np.sqrt(variances / total) * np.exp(prior * differences**2 / (2 * variances * total))


def _least(p_values: np.ndarray) -> np.ndarray:
    return np.minimum.accumulate(np.minimum(p_values, 1.0))


def _sequential_p(differences: np.ndarray, variances: np.ndarray, scale: float) -> np.ndarray:
    """The right answer."""
    return _least(1 / _ratio(differences, variances, scale**2))


def _cases() -> tuple[Case, ...]:
    rows: tuple[tuple[Any, ...], ...] = (
        (np.array([0.0, 0.5, 0.3]), np.array([0.04, 0.02, 0.01]), 0.2, "it rises, then falls"),
        (np.array([-0.3, -0.1]), np.array([0.01, 0.005]), 0.5, "the treated arm is worse"),
        (np.array([0.1, 0.1, 0.1]), np.array([1.0, 0.01, 0.001]), 2.0, "a wide prior"),
        (np.array([0.4]), np.array([0.0625]), 1.0, "one look"),
    )
    return tuple(Case((*args,), _sequential_p(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="sequential_p",
    title="A p-value that may be read at any time",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda d, v, s: 2 * stats.norm.sf(np.abs(d) / np.sqrt(v)),
            "That is the p-value of a single look. Read again and again, it errs far too often.",
        ),
        KnownWrong(
            lambda d, v, s: _least(2 * stats.norm.sf(np.abs(d) / np.sqrt(v))),
            "The smallest of the single-look p-values is what peeking reports.",
        ),
        KnownWrong(
            lambda d, v, s: np.minimum(1 / _ratio(d, v, s**2), 1.0),
            "The p-value rises again at a later look. Evidence that was there stays: take the "
            "smallest so far.",
        ),
        KnownWrong(
            lambda d, v, s: np.minimum.accumulate(1 / _ratio(d, v, s**2)),
            "A p-value above 1: cut it at 1.",
        ),
        KnownWrong(
            lambda d, v, s: _least(_ratio(d, v, s**2)),
            "That is the likelihood ratio, which is large if there is an effect. The p-value is "
            "one over it.",
        ),
        KnownWrong(
            lambda d, v, s: _least(1 / _ratio(d, v, s)),
            "The scale is a standard deviation: its square is added to the variance.",
        ),
        KnownWrong(
            lambda d, v, s: _least(1 / _ratio(d, v, s**2) * np.sqrt(v / (v + s**2))),
            "The factor sqrt(v / (v + scale^2)) is missing: without it the ratio is not an "
            "average, and too large.",
        ),
        KnownWrong(
            lambda d, v, s: _least(1 / _ratio(np.maximum(d, 0), v, s**2)),
            "A negative difference counts as none. The test is two-sided: square it.",
        ),
    ),
    hints=(
        "Write the ratio of the formula for one look first.",
        "np.sqrt(v / (v + scale**2)) * np.exp(scale**2 * d**2 / (2 * v * (v + scale**2)))",
        "One over it, at most 1, and np.minimum.accumulate over the looks.",
    ),
    notice="The price of reading at any time is power: at a fixed number of users the single-look "
    "p-value is smaller. What is bought is that nobody has to wait for that number.",
)
