"""Exercise ``sampled_softmax_loss``: a softmax over a few drawn items."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_DRAWS = np.random.default_rng(11)


def _loss(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """``(n,)`` cross-entropies of the right items against the others."""
    scores = np.concatenate([positive[:, None], negative], axis=1)
    return logsumexp(scores, axis=1) - positive


def _right(positive: np.ndarray, negative: np.ndarray, expected: np.ndarray) -> float:
    return float(_loss(positive, negative - np.log(expected)).mean())


def _overflowing(positive: np.ndarray, negative: np.ndarray, expected: np.ndarray) -> float:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        right, drawn = np.exp(positive), np.exp(negative) / expected
        return float(-np.log(right / (right + drawn.sum(axis=1))).mean())


def _without_target(positive: np.ndarray, negative: np.ndarray, expected: np.ndarray) -> float:
    return float((logsumexp(negative - np.log(expected), axis=1) - positive).mean())


def _target_corrected(positive: np.ndarray, negative: np.ndarray, expected: np.ndarray) -> float:
    return _right(positive - np.log(expected[0]), negative, expected)


def _binary(positive: np.ndarray, negative: np.ndarray, expected: np.ndarray) -> float:
    drawn = np.logaddexp(0, negative - np.log(expected)).sum(axis=1)
    return float((np.logaddexp(0, -positive) + drawn).mean())


_POSITIVE, _NEGATIVE = _DRAWS.normal(size=3).round(1), _DRAWS.normal(size=(3, 4)).round(1)
_EXPECTED = np.array([0.1, 2.0, 0.5, 1.5])

EXERCISE = Exercise(
    id="sampled_softmax_loss",
    title="A softmax over a few drawn items",
    cases=(
        Case(
            args=(np.log([2.0]), np.zeros((1, 2)), np.array([1.0, 0.5])),
            expected=float(np.log(5 / 2)),
            note="2 / (2 + 1 + 2): the item drawn half as often counts twice",
        ),
        Case(
            args=(_POSITIVE, _NEGATIVE, _EXPECTED),
            expected=_right(_POSITIVE, _NEGATIVE, _EXPECTED),
            note="three questions, four drawn items",
        ),
        Case(
            args=(_POSITIVE + 900, _NEGATIVE + 900, _EXPECTED),
            expected=_right(_POSITIVE, _NEGATIVE, _EXPECTED),
            note="large scores; a constant added to all changes nothing",
        ),
        Case(
            args=(np.array([0.0, 1.0]), np.array([[2000.0, 0.0], [0.0, 0.0]]), np.ones(2)),
            expected=_right(np.array([0.0, 1.0]), np.array([[2000.0, 0], [0, 0]]), np.ones(2)),
            note="one drawn item scores far above the right one",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda positive, negative, expected: float(_loss(positive, negative).mean()),
            "The drawn scores are not corrected: items that are drawn often are pushed down more "
            "often, and more than they deserve.",
        ),
        KnownWrong(
            lambda positive, negative, expected: _right(positive, negative, 1 / expected),
            "The correction has the wrong sign: an item that is drawn often must count less, "
            "s - ln(expected).",
        ),
        KnownWrong(
            lambda positive, negative, expected: _right(positive, negative, np.exp(expected)),
            "expected itself is subtracted. It is its logarithm.",
        ),
        KnownWrong(
            _without_target,
            "The right item is missing in the denominator: the loss can then fall without end.",
        ),
        KnownWrong(
            _target_corrected,
            "The right item is corrected, too. It was not drawn.",
        ),
        KnownWrong(
            lambda positive, negative, expected: -_right(positive, negative, expected),
            "The sign of the loss: a cross-entropy is -ln of a probability, never negative.",
        ),
        KnownWrong(
            lambda positive, negative, expected: (
                _right(positive, negative, expected) * len(positive)
            ),
            "That is the sum over the questions. Asked is the mean.",
        ),
        KnownWrong(
            _binary,
            "That is binary cross-entropy, a yes or no for each item. Here the items share one "
            "softmax.",
        ),
        KnownWrong(
            _overflowing,
            "Right on small scores; on large ones the exponential is infinite. Subtract the "
            "largest score of each row first.",
        ),
    ),
    hints=(
        "corrected = negative - np.log(expected) has shape (n, k).",
        "Put the right item's score in a column before the drawn ones: (n, 1 + k).",
        "Cross-entropy of column 0: log-sum-exp of the row, minus its first score.",
    ),
    notice="With the correction the denominator has, on average over the draws, about the size of "
    "the full softmax's. Without it the loss is that of another distribution.",
)
