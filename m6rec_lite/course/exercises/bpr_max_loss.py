"""Exercise ``bpr_max_loss``: BPR-max from its formula."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _weights(negative: np.ndarray, axis: int = 1) -> np.ndarray:
    e = np.exp(negative - negative.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _above(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """(n, k): the sigmoid of positive minus negative."""
    return 1 / (1 + np.exp(negative - positive[:, None]))


def _loss(positive: np.ndarray, negative: np.ndarray) -> float:
    """The right answer."""
    return float(-np.log((_weights(negative) * _above(positive, negative)).sum(axis=1)).mean())


def _log_inside(positive: np.ndarray, negative: np.ndarray) -> float:
    logs = np.log(_above(positive, negative))
    return float(-(_weights(negative) * logs).sum(axis=1).mean())


def _unweighted(positive: np.ndarray, negative: np.ndarray) -> float:
    return float(-np.log(_above(positive, negative).mean(axis=1)).mean())


def _with_target(positive: np.ndarray, negative: np.ndarray) -> float:
    weights = _weights(np.concatenate([negative, positive[:, None]], axis=1))[:, :-1]
    return float(-np.log((weights * _above(positive, negative)).sum(axis=1)).mean())


def _reversed(positive: np.ndarray, negative: np.ndarray) -> float:
    below = 1 - _above(positive, negative)
    return float(-np.log((_weights(negative) * below).sum(axis=1)).mean())


def _strongest(positive: np.ndarray, negative: np.ndarray) -> float:
    return float(-np.log(_above(positive, negative.max(axis=1, keepdims=True))).mean())


def _over_rows(positive: np.ndarray, negative: np.ndarray) -> float:
    weights = _weights(negative, axis=0)
    return float(-np.log((weights * _above(positive, negative)).sum(axis=1)).mean())


def _log_of_mean(positive: np.ndarray, negative: np.ndarray) -> float:
    return float(-np.log((_weights(negative) * _above(positive, negative)).sum(axis=1).mean()))


_POSITIVE = np.log([3.0, 1.0])
_NEGATIVE = np.log([[1.0, 2.0], [1.0, 3.0]])
_DRAWS = np.random.default_rng(9)
_MANY = _DRAWS.normal(size=5).round(1), _DRAWS.normal(size=(5, 4)).round(1)

EXERCISE = Exercise(
    id="bpr_max_loss",
    title="BPR-max from its formula",
    cases=(
        Case((_POSITIVE[:1], _NEGATIVE[:1]), -float(np.log(0.65)), note="the lesson's example"),
        Case(
            (_POSITIVE, _NEGATIVE),
            -float(np.log(0.65) + np.log(1 / 4 * 1 / 2 + 3 / 4 * 1 / 4)) / 2,
            note="two rows",
        ),
        Case((_POSITIVE[:1], _NEGATIVE[:1, :1]), -float(np.log(0.75)), note="one negative"),
        Case(_MANY, _loss(*_MANY), note="five rows, four negatives"),
    ),
    known_wrong=(
        KnownWrong(
            _log_inside,
            "The logarithm is inside the sum. BPR-max takes the logarithm of the weighted sum.",
        ),
        KnownWrong(
            _unweighted,
            "All negatives have the same weight: the softmax of their scores is missing.",
        ),
        KnownWrong(
            _with_target,
            "The softmax runs over the negatives and the target. The weights of the negatives "
            "alone sum to 1.",
        ),
        KnownWrong(
            _reversed,
            "The gap is reversed: the target's score must be above, sigma(r - n).",
        ),
        KnownWrong(
            _strongest,
            "Only the strongest negative counts here. The softmax is a soft maximum: every "
            "negative has a weight.",
        ),
        KnownWrong(_over_rows, "The softmax runs over the rows: normalize over axis 1."),
        KnownWrong(
            lambda positive, negative: _loss(positive, negative) * len(positive),
            "That is the sum over the rows; return their mean.",
        ),
        KnownWrong(_log_of_mean, "The mean over rows is taken before the logarithm: -ln first."),
        KnownWrong(
            lambda positive, negative: -_loss(positive, negative),
            "The sign is wrong: a weighted mean of probabilities is below 1, so -ln is positive.",
        ),
    ),
    hints=(
        "Three steps: weights (n, k), sigmoids (n, k), the weighted sum (n,).",
        "positive[:, None] - negative has the shape (n, k).",
        "-np.log((weights * sigmoids).sum(axis=1)).mean()",
    ),
    notice="With one negative its weight is 1, and BPR-max is BPR. `m6rec_lite.nn.bpr_max` adds "
    "the penalty on the scores of the negatives.",
)
