"""Exercise ``improvement``: expected improvement over the best score."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """The right answer."""
    z = (mean - best) / std
    return std * (z * norm.cdf(z) + norm.pdf(z))


def _cases() -> tuple[Case, ...]:
    rows: tuple[tuple[Any, ...], ...] = (
        (np.array([0.2, 0.2, 0.2]), np.array([0.01, 0.1, 1.0]), 0.2, "equal means"),
        (np.array([0.1, 0.5, -0.4]), np.array([0.3, 0.3, 0.3]), 0.2, "equal uncertainty"),
        (np.array([1.0, -2.0]), np.array([0.5, 2.0]), -0.5, "a negative best score"),
        (np.array([0.0]), np.array([1.0]), 0.0, "one candidate"),
    )
    return tuple(Case((*args,), _improvement(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="improvement",
    title="Expected improvement",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda m, s, b: norm.cdf((m - b) / s),
            "That is the *probability* of an improvement. It prefers a sure gain of nothing.",
        ),
        KnownWrong(
            lambda m, s, b: np.maximum(m - b, 0),
            "The uncertainty is left out: a point below the best may still turn out better.",
        ),
        KnownWrong(
            lambda m, s, b: _improvement(-m, s, -b),
            "The sign is turned: that is the improvement where lower is better.",
        ),
        KnownWrong(
            lambda m, s, b: _improvement(m, s, b) / s,
            "The factor s is missing: the improvement is in standard deviations, not in scores.",
        ),
        KnownWrong(
            lambda m, s, b: (m - b) * norm.pdf((m - b) / s) + s * norm.cdf((m - b) / s),
            "Density and distribution function are exchanged.",
        ),
        KnownWrong(
            lambda m, s, b: (m - b) * norm.cdf((m - b) / s),
            "The second term, s times the density of z, is missing.",
        ),
        KnownWrong(
            lambda m, s, b: _improvement(m, np.sqrt(s), b),
            "std is a standard deviation already: take no root.",
        ),
        KnownWrong(
            lambda m, s, b: m + s,
            "That is an upper bound of the score. It does not know what the best score is.",
        ),
    ),
    hints=(
        "z = (mean - best) / std: how far above the best, in standard deviations.",
        "std times (z times the distribution function of z, plus the density of z).",
        "scipy.stats.norm has cdf and pdf.",
    ),
    notice="With equal means the most uncertain point wins, with equal uncertainty the highest "
    "mean: exploration and exploitation in one number.",
)
