"""Exercise ``attention_pool``: attention pooling under a mask."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _scores(states: np.ndarray, query: np.ndarray) -> np.ndarray:
    return states @ query / math.sqrt(len(query))  # (batch, time)


def _weights(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scores = np.where(mask, scores, -1e30)
    grown = np.exp(scores - scores.max(axis=1, keepdims=True)) * mask
    return grown / np.maximum(grown.sum(axis=1, keepdims=True), 1e-30)


def _shifted(shift: Callable[[np.ndarray], Any]) -> Callable[..., np.ndarray]:
    """The weights, with something else than each row's maximum taken off the scores."""

    def weigh(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            grown = np.exp(scores - shift(np.where(mask, scores, -1e30))) * mask
            return grown / np.maximum(grown.sum(axis=1, keepdims=True), 1e-30)

    return weigh


def _less_largest_of_all(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The weights, with each row's maximum over real and padded states taken off the scores."""
    grown = np.exp(scores - scores.max(axis=1, keepdims=True)) * mask
    return grown / np.maximum(grown.sum(axis=1, keepdims=True), 1e-30)


def _pool(states: np.ndarray, mask: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.einsum("bt,btd->bd", _weights(_scores(states, query), mask), states)


def _pooled_by(
    weigh: Callable[[np.ndarray, np.ndarray], np.ndarray], scale: float | None = None
) -> Callable[..., np.ndarray]:
    """Pooling with other weights, or another scale of the scores."""

    def answer(states: np.ndarray, mask: np.ndarray, query: np.ndarray) -> np.ndarray:
        scores = _scores(states, query) if scale is None else scale * (states @ query)
        return np.einsum("bt,btd->bd", weigh(scores, mask), states)

    return answer


_L = math.log(2)
_STATES = np.array([[[2 * _L, 0, 0, 1], [0, 4, 0, 0], [9, 9, 9, 9]], [[9, 9, 9, 9], [1, 2, 3, 4],
                    [5, 6, 7, 8]]], dtype=float)  # fmt: skip
_MASK = np.array([[True, True, False], [False, True, True]])
_ASK = np.array([2.0, 0.0, 0.0, 0.0])
_FAR = np.array([[[800.0, 0.0], [0.0, 1.0], [-3.0, 2.0]]])
_TWO = np.array([*_FAR, [[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]])

EXERCISE = Exercise(
    id="attention_pool",
    title="Attention pooling under a mask",
    cases=(
        Case(
            args=(_STATES, _MASK, _ASK),
            expected=_pool(_STATES, _MASK, _ASK),
            note="row 1 weighs its two real states 4 to 1; row 2 is padded in front",
        ),
        Case(
            args=(_STATES, _MASK, np.zeros(4)),
            expected=[[_L, 2, 0, 0.5], [3, 4, 5, 6]],
            note="a query of zeros: the masked mean",
        ),
        Case(
            args=(_STATES, np.array([[True] * 3, [False] * 3]), _ASK),
            expected=_pool(_STATES, np.array([[True] * 3, [False] * 3]), _ASK),
            note="the second row is empty: 0",
        ),
        Case(
            args=(_FAR, np.array([[True, True, True]]), np.array([2.0, 0.0])),
            expected=[[800.0, 0.0]],
            note="e to the 1131 is infinite",
        ),
        Case(
            args=(_TWO, np.array([[True] * 3] * 2), np.array([2.0, 0.0])),
            expected=[[800.0, 0.0], [0.0, 2.0]],
            note="large scores in the first row, small ones in the second",
        ),
        Case(
            args=(_FAR, np.array([[False, True, False]]), np.array([2.0, 0.0])),
            expected=[[0.0, 1.0]],
            note="the padded state has the largest score",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _pooled_by(lambda scores, mask: softmax(scores, 1) * mask),
            "The mask comes after the softmax, so the weights of the real states do not add up to "
            "1: padding has eaten its share. Mask the scores.",
        ),
        KnownWrong(
            _pooled_by(lambda scores, mask: softmax(scores * mask, 1)),
            "Padding has a score of 0, and e to the 0 is 1: it takes part. A hidden score is "
            "minus infinity.",
        ),
        KnownWrong(
            _pooled_by(lambda scores, mask: softmax(scores, 1)),
            "The mask is not used: padding is pooled like any state.",
        ),
        KnownWrong(
            _pooled_by(_weights, scale=1.0),
            "The scores are not divided by the root of d.",
        ),
        KnownWrong(
            _pooled_by(
                lambda scores, mask: (
                    np.eye(scores.shape[1])[np.where(mask, scores, -1e30).argmax(1)]
                    * mask.any(1, keepdims=True)
                )
            ),
            "Only the best state is taken. Attention is a softmax: the others have a say.",
        ),
        KnownWrong(
            _pooled_by(lambda scores, mask: mask / np.maximum(mask.sum(1, keepdims=True), 1)),
            "That is the masked mean: the query is not used.",
        ),
        KnownWrong(
            _pooled_by(lambda scores, mask: softmax(np.where(mask, scores, -1e30), 1)),
            "All is right but for a row without any real state, where equal scores of minus "
            "something make a mean of the padding. Its vector is 0.",
        ),
        KnownWrong(
            _pooled_by(_shifted(lambda scores: 0.0)),
            "The numbers overflow: e to the 1131 is infinite, and infinite over infinite is NaN. "
            "Take the largest score of each row off first.",
        ),
        KnownWrong(
            _pooled_by(_shifted(np.max)),
            "The largest score of the whole batch is taken off, and a row with small scores "
            "underflows to 0. Take off each row's own: max(axis=1, keepdims=True).",
        ),
        KnownWrong(
            _pooled_by(_less_largest_of_all),
            "The largest score of a row may be that of padding; once it is taken off, the real "
            "states underflow to 0. Mask the scores before you take their maximum.",
        ),
    ),
    hints=(
        "Scores first: states @ query / sqrt(d) is (batch, time).",
        "np.where(mask, scores, -1e30), then a softmax over time (take the maximum off first).",
        "Multiply the weights by the mask at the end: a row without real states becomes 0.",
    ),
    notice="With a query of zeros it is the masked mean; with a long query it picks one state. "
    "A learned query lies between, where the task wants it.",
)
