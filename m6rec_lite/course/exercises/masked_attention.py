"""Exercise ``masked_attention``: attention with a mask."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import softmax

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_DRAWS = np.random.default_rng(5)
_softmax = partial(softmax, axis=-1)


def _scores(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    return q @ k.T / np.sqrt(k.shape[1])


def _attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Means of v, by the weights of what the mask lets each query see."""
    return _softmax(np.where(mask, _scores(q, k), -np.inf)) @ v


def _without_maximum(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        grown = np.where(mask, np.exp(_scores(q, k)), 0.0)
        return grown / grown.sum(axis=1, keepdims=True) @ v


def _turned_round(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return _softmax(np.where(mask, -np.inf, _scores(q, k))) @ v


def _over_queries(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return _softmax(np.where(mask, _scores(q, k), -np.inf), axis=0) @ v


_Q, _K, _V = (_DRAWS.normal(size=(4, 3)).round(1) for _ in range(3))
_PAPER = (
    np.log(2) * np.array([[2.0, 2, 0, 0]]),
    np.array([[1.0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]]),
    np.array([[7.0, 0], [0, 7], [7, 7]]),
)
_CAUSAL = np.tri(4, dtype=bool)

EXERCISE = Exercise(
    id="masked_attention",
    title="Attention with a mask",
    cases=(
        Case(
            args=(*_PAPER, np.array([[True, True, True]])),
            expected=[[6.0, 3.0]],
            note="the look-up of part 1; everything may be looked at",
        ),
        Case(
            args=(*_PAPER, np.array([[False, True, True]])),
            expected=[[14 / 3, 7.0]],
            note="boots are hidden: jazz weighs 1/3, poles 2/3",
        ),
        Case(
            args=(_Q, _K, _V, _CAUSAL),
            expected=_attend(_Q, _K, _V, _CAUSAL),
            note="causal",
        ),
        Case(
            args=(1000 * _Q, _K, _V, _CAUSAL),
            expected=_attend(1000 * _Q, _K, _V, _CAUSAL),
            note="large scores: e to the 1,000 is infinite",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda q, k, v, mask: _softmax(np.where(mask, q @ k.T, -np.inf)) @ v,
            "The scores are not divided by the root of d, d being the number of columns of k.",
        ),
        KnownWrong(
            lambda q, k, v, mask: (_softmax(_scores(q, k)) * mask) @ v,
            "The mask is applied after the softmax: the weights that are left do not add up to 1. "
            "Put -inf in the scores before the softmax.",
        ),
        KnownWrong(
            lambda q, k, v, mask: _softmax(_scores(q, k) * mask) @ v,
            "Hidden scores are set to 0, and e to the 0 is 1: what is hidden still gets a weight. "
            "The score of what is hidden is -inf.",
        ),
        KnownWrong(
            _turned_round,
            "The mask is turned round: True means that a place may be looked at.",
        ),
        KnownWrong(
            _over_queries,
            "The softmax runs over the queries (axis 0). Each query shares out its own attention: "
            "the weights of a row add up to 1.",
        ),
        KnownWrong(
            _without_maximum,
            "Right on small scores and NaN on large ones: e to the 1,000 is infinite. Take the "
            "largest score of each row away first; it cancels in the quotient.",
        ),
    ),
    hints=(
        "Three lines: scores (queries, keys); hide; softmax over the last axis, then times v.",
        "np.where(mask, scores, -np.inf), before any exponential.",
        "scores - scores.max(axis=-1, keepdims=True) keeps the exponentials at most 1.",
    ),
    notice="Hiding before the softmax and dividing by the sum of what is left is the same as never "
    "having had the hidden keys: that is why a padded row answers as the row alone does.",
)
