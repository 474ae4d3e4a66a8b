"""Exercise ``history_effect``: what the person contributes to a ranking."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _effect(own: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """The right answer: mean and standard error of one difference for each person."""
    gains = own - others.mean(axis=1)
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def _error(values: np.ndarray, n: int, ddof: int = 1) -> float:
    return float(values.std(ddof=ddof) / np.sqrt(n))


def _pooled(own: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    gains = own[:, None] - others
    return float(gains.mean()), _error(gains, gains.size)


def _unpaired(own: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    n = len(own)
    error = np.hypot(_error(own, n), _error(others.mean(axis=1), n))
    return _effect(own, others)[0], float(error)


def _median(own: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    gains = own - np.median(others, axis=1)
    return float(gains.mean()), _error(gains, len(gains))


def _population(own: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    gains = own - others.mean(axis=1)
    return float(gains.mean()), _error(gains, len(gains), ddof=0)


def _deviation(own: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    gains = own - others.mean(axis=1)
    return float(gains.mean()), float(gains.std(ddof=1))


def _cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(0)
    own = np.array([0.9, 0.6, 0.2])
    others = np.array([[0.7, 0.9], [0.5, 0.5], [0.3, 0.1]])
    base = draw.uniform(0.3, 0.8, size=(6, 1))
    many = (base[:, 0] + 0.05).round(2), (base + draw.normal(0, 0.02, (6, 4))).round(2)
    one = np.array([0.5, 0.7]), np.array([[0.4], [0.8]])
    rows = (
        (own, others, "three people, two other histories each"),
        (*many, "the items differ much, the histories little"),
        (*one, "one other history: no effect of the person"),
    )
    return tuple(Case((*args,), _effect(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="history_effect",
    title="What the person contributes to a ranking",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda own, others: (-_effect(own, others)[0], _effect(own, others)[1]),
            "The sign is turned: positive means that the own history ranks better.",
        ),
        KnownWrong(
            _pooled,
            "The rows of one person are counted as independent. They share the list and the own "
            "score: take one difference for each person, and divide by the root of the number of "
            "people.",
        ),
        KnownWrong(
            _unpaired,
            "That is the error of two independent groups. The same people stand on both sides: "
            "take the standard deviation of the differences.",
        ),
        KnownWrong(
            _population,
            "The standard deviation divides by n. From a sample divide by n - 1 (ddof=1).",
        ),
        KnownWrong(
            _deviation,
            "That is the standard deviation of the differences. The error of their mean is "
            "smaller by the root of the number of people.",
        ),
        KnownWrong(_median, "The median of the other histories is taken. Wanted is their mean."),
        KnownWrong(
            lambda own, others: (float(own.mean()), _error(own, len(own))),
            "The other histories are not subtracted: that is the quality of the ranking, whoever "
            "or whatever it comes from.",
        ),
    ),
    hints=(
        "One number for each person first: the own score less the mean of the others.",
        "gains = own - others.mean(axis=1), then the mean, and std(ddof=1) / sqrt(n).",
        "Return both as a pair: (mean, standard error).",
    ),
    notice="In the second case the items explain almost all differences between people, and the "
    "paired error is small all the same: pairing removes what both sides share.",
)
