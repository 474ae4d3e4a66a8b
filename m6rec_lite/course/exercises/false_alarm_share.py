"""Open exercise ``false_alarm_share``: ten equal models, 45 comparisons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Share = Callable[[np.ndarray, float], float]

RUNS, MODELS, USERS = 200, 10, 100


def _values() -> np.ndarray:
    """Return ``(runs, models, users)``: users differ, and all models are equally good."""
    draw = np.random.default_rng(7)
    easy = draw.random((RUNS, 1, USERS))
    return (easy + draw.normal(0, 0.2, (RUNS, MODELS, USERS))).round(6)


VALUES = _values()


def _tests(values: np.ndarray, *, paired: bool = True, root: bool = True) -> np.ndarray:
    """Return ``(runs, models, models)``: mean difference over its standard error, 0 for a model
    and itself."""
    values = np.asarray(values, float)
    mean, n = values.mean(axis=2), values.shape[2]
    centred = values - mean[:, :, None]
    covariance = centred @ centred.transpose(0, 2, 1) / (n - 1)
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    spread = variance[:, :, None] + variance[:, None, :] - (2 * covariance if paired else 0)
    error = np.sqrt(np.maximum(spread, 0) / (n if root else 1))
    gap = mean[:, :, None] - mean[:, None, :]
    return np.divide(gap, error, out=np.zeros_like(gap), where=error > 1e-9)


def _share(values: np.ndarray, critical: float) -> float:
    """The right answer: the share of runs in which some pair differs."""
    return float((np.abs(_tests(values)) > critical).any(axis=(1, 2)).mean())


def _of_pairs(values: np.ndarray, critical: float) -> float:
    first, second = np.triu_indices(np.shape(values)[1], 1)
    return float((np.abs(_tests(values))[:, first, second] > critical).mean())


def _first_pair(values: np.ndarray, critical: float) -> float:
    return float((np.abs(_tests(values)[:, 0, 1]) > critical).mean())


def _against_first(values: np.ndarray, critical: float) -> float:
    return float((np.abs(_tests(values)[:, 0]) > critical).any(axis=1).mean())


def _all_pairs(values: np.ndarray, critical: float) -> float:
    first, second = np.triu_indices(np.shape(values)[1], 1)
    return float((np.abs(_tests(values))[:, first, second] > critical).all(axis=1).mean())


def _pairs_a_run(values: np.ndarray, critical: float) -> float:
    return _of_pairs(values, critical) * np.shape(values)[1] * (np.shape(values)[1] - 1) / 2


def _flag(critical: float, tests: np.ndarray) -> float:
    return float((np.abs(tests) > critical).any(axis=(1, 2)).mean())


def _cases() -> tuple[Case, ...]:
    settings = (
        (VALUES[:40, :3], 1.98, "40 runs of three models"),
        (VALUES[:60, :2], 1.98, "two models: a single pair"),
        (VALUES[:50], 3.4, "50 runs of ten models, a stricter bound"),
        (VALUES[50:90, :6, :30], 2.05, "40 runs of six models, 30 users"),
        (VALUES[:80, :3, :4], 3.18, "80 runs of three models, four users"),
    )
    return tuple(Case((v, c), _share(v, c), note=note) for v, c, note in settings)


EXERCISE = OpenExercise(
    id="false_alarm_share",
    title="Predict and measure: false alarms among many comparisons",
    data={"values": VALUES},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _of_pairs,
            "That is the share of the pairs that differ, near 5 %. Asked is the share of runs in "
            "which at least one pair differs.",
        ),
        KnownWrong(
            _pairs_a_run,
            "That is the number of pairs that differ in a run, on average. A run with three of "
            "them counts once.",
        ),
        KnownWrong(
            _first_pair,
            "Only the first two models are compared. Compare every pair.",
        ),
        KnownWrong(
            _against_first,
            "Only pairs with the first model are compared. Compare every pair.",
        ),
        KnownWrong(
            _all_pairs,
            "That asks whether all pairs differ. One is enough.",
        ),
        KnownWrong(
            lambda values, critical: _flag(critical, _tests(values, paired=False)),
            "The users are treated as different for each model: the standard error is that of two "
            "independent groups. Take the differences user by user.",
        ),
        KnownWrong(
            lambda values, critical: _flag(critical, _tests(values, root=False)),
            "The standard deviation of the differences is used. The error of their mean is smaller "
            "by the root of the number of users.",
        ),
        KnownWrong(
            lambda values, critical: _flag(
                critical, _tests(values) * np.sqrt(values.shape[2] / (values.shape[2] - 1))
            ),
            "The sum of squares is divided by the number of users. The standard deviation of a "
            "sample divides by one less (ddof=1).",
        ),
        KnownWrong(
            lambda values, critical: float(
                (_tests(values)[:, *_upper(values)] > critical).any(axis=1).mean()
            ),
            "Only differences in one direction count. Take the absolute value.",
        ),
        KnownWrong(
            lambda values, critical: 1 - _share(values, critical),
            "That is the share of runs without a false alarm.",
        ),
    ),
    hints=(
        "For one pair in one run: difference = values[run, a] - values[run, b].",
        "t = difference.mean() / (difference.std(ddof=1) / sqrt(users)); a pair differs if "
        "abs(t) > critical.",
        "itertools.combinations(range(models), 2) gives the pairs; any() over them, the mean over "
        "the runs.",
    ),
    notice="Nothing differs here, and still many tables of ten models have a pair that does. "
    "Decide before you look which comparison matters, or ask for a stricter bound.",
    measured=lambda answer: float(answer(VALUES, 1.98)),
    example=0.5,
)


def _upper(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.triu_indices(np.shape(values)[1], 1)
    return first, second
