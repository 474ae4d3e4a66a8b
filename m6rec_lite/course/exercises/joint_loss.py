"""Exercise ``joint_loss``: the joint loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _means(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> np.ndarray:
    n = np.bincount(kind, minlength=len(weights))
    return np.bincount(kind, weights=nats, minlength=len(weights)) / np.maximum(n, 1)


def _of_means(mean: Callable[[np.ndarray], float]) -> Callable[..., float]:
    """The joint loss with another mean over an objective's tokens."""

    def joint(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> float:
        there = np.unique(kind)
        return float(np.average([mean(nats[kind == k]) for k in there], weights=weights[there]))

    return joint


def _nan_if_absent(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> float:
    absent = set(range(len(weights))) - set(kind)
    return math.nan if absent else _of_means(np.mean)(nats, kind, weights)


_NATS = np.array([4.0] * 6 + [2.0] * 2)
_KIND = np.array([0] * 6 + [1] * 2)

EXERCISE = Exercise(
    id="joint_loss",
    title="The joint loss",
    cases=(
        Case((_NATS, _KIND, np.array([1.0, 1.0])), 3.0, note="equal weights, unequal tokens"),
        Case((_NATS, _KIND, np.array([1.0, 3.0])), 2.5),
        Case((_NATS, _KIND, np.array([2.0, 0.0])), 4.0, note="the second only looks on"),
        Case(
            (np.array([1.0, 3.0]), np.array([0, 0]), np.array([1.0, 1.0])),
            2.0,
            note="a batch without the second objective",
        ),
        Case(
            (np.array([1.0, 1.0, 7.0]), np.array([1, 1, 1]), np.array([5.0, 2.0])),
            3.0,
            note="a batch without the first",
        ),
        Case(
            (np.array([2.0, 6.0, 8.0]), np.array([2, 2, 1]), np.array([9.0, 1.0, 3.0])),
            5.0,
            note="three objectives, two of them there",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda nats, kind, weights: float(nats.mean()),
            "That is the mean over all tokens: whoever has more of them gets more say, and the "
            "weights none. Average each objective over its own tokens first.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float((weights[kind] * nats).sum() / weights[kind].sum()),
            "The weights are laid on tokens, so an objective with many tokens counts many times. "
            "Lay them on the means.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float((weights * _means(nats, kind, weights)).sum()),
            "The sum of the weights is missing below: twice the weights would be twice the loss, "
            "and twice the step.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float(
                (weights * _means(nats, kind, weights)).sum() / weights.sum()
            ),
            "An objective that has no token in the batch counts as a loss of 0. Leave it out, its "
            "weight too.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float(
                np.mean([nats[kind == k].mean() for k in np.unique(kind)])
            ),
            "That is the plain mean of the objectives: the weights are not asked.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float((weights[kind] * nats).sum() / weights.sum()),
            "Each objective is summed over its tokens, not averaged: it grows with the batch.",
        ),
        KnownWrong(
            _of_means(np.median),
            "That is the median of an objective's tokens. Take their mean.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float(
                np.average(
                    [nats[kind == k].mean() for k in dict.fromkeys(kind)],
                    weights=weights[: len(set(kind))],
                )
            ),
            "The weights are handed out in the order in which objectives turn up. weights[k] "
            "belongs to objective k, whether the others are there or not.",
        ),
        KnownWrong(
            _nan_if_absent,
            "The mean of no tokens is NaN, and it spreads. Leave out an objective that is not "
            "there.",
        ),
    ),
    hints=(
        "First a mean for each objective, over its own tokens; then the weights.",
        "nats[kind == k].mean() is one objective's; is there always a token of it?",
        "Divide by the sum of the weights of those objectives that are in the batch.",
    ),
    notice="Weights are the only place where it is said what matters. Log each objective apart all "
    "the same: a falling sum can hide one that rises.",
)
