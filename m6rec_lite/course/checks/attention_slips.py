"""Exercises 05.1 and 05.2: attention under a mask, and the formula that went round."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

_DRAWS = np.random.default_rng(5)


def _softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Exponentials of the scores, adding up to 1 along the axis."""
    grown = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return grown / grown.sum(axis=axis, keepdims=True)


# 05.1 Attention with a mask


def _scores(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    return q @ k.T / np.sqrt(k.shape[1])


def masked_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Means of v, by the weights of what the mask lets each query see."""
    return _softmax(np.where(mask, _scores(q, k), -np.inf)) @ v


def _one_by_one(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> list:
    """The same in plain loops: only the keys that may be looked at enter."""
    rows = []
    for i, query in enumerate(q):
        may = [j for j in range(len(k)) if mask[i][j]]
        scores = [float(query @ k[j]) / len(query) ** 0.5 for j in may]
        grown = [np.exp(score - max(scores)) for score in scores]
        rows.append(sum(g / sum(grown) * v[j] for g, j in zip(grown, may, strict=True)).tolist())
    return rows


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

MASKED_ATTENTION = Exercise(
    id="05.1",
    title="Attention with a mask",
    answer="attention",
    cases=(
        Case(
            args=(*_PAPER, np.array([[True, True, True]])),
            wanted=[[6.0, 3.0]],
            note="the look-up of part 1; everything may be looked at",
        ),
        Case(
            args=(*_PAPER, np.array([[False, True, True]])),
            wanted=[[14 / 3, 7.0]],
            note="boots are hidden: jazz weighs 1/3, poles 2/3",
        ),
        Case(
            args=(_Q, _K, _V, _CAUSAL), wanted=masked_attention(_Q, _K, _V, _CAUSAL), note="causal"
        ),
        Case(
            args=(1000 * _Q, _K, _V, _CAUSAL),
            wanted=masked_attention(1000 * _Q, _K, _V, _CAUSAL),
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
    correct_alternatives=(masked_attention, _one_by_one),
    hints=(
        "Three lines: scores (queries, keys); hide; softmax over the last axis, then times v.",
        "np.where(mask, scores, -np.inf), before any exponential.",
        "scores - scores.max(axis=-1, keepdims=True) keeps the exponentials at most 1.",
    ),
    notice="Hiding before the softmax and dividing by the sum of what is left is the same as never "
    "having had the hidden keys: that is why a padded row answers as the row alone does.",
)


# 05.2 Error hunt: the formula that went round


def _attend(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _softmax(_scores(q, k)) @ v


_SQUARES = tuple(_DRAWS.normal(size=(3, 3)).round(1) for _ in range(3))
_LONG = (
    _DRAWS.normal(size=(2, 4)).round(1),
    _DRAWS.normal(size=(5, 4)).round(1),
    _DRAWS.normal(size=(5, 3)).round(1),
)
_ALIKE = (_SQUARES[0], _SQUARES[1], np.full((3, 3), 2.0))

ROUND_FORMULA = Exercise(
    id="05.2",
    title="The formula that went round",
    answer="attend",
    cases=(
        Case(args=_ALIKE, wanted=np.full((3, 3), 2.0), note="all values are 2, so is any mean"),
        Case(args=_SQUARES, wanted=_attend(*_SQUARES), note="three queries, keys and dimensions"),
        Case(args=_LONG, wanted=_attend(*_LONG), note="two queries, five keys, d 4, d_v 3"),
    ),
    known_wrong=(
        KnownWrong(
            lambda q, k, v: _softmax(q @ k.T / k.shape[1], axis=0) / v,
            "Nothing is mended yet. Where all values are 2, a mean of values is 2; what comes out "
            "of the formula?",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(_scores(q, k)) / v,
            "The weights are divided by the values. That runs only where the shapes happen to "
            "agree; a weighted mean is the matrix product, weights @ V.",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(_scores(q, k)) * v,
            "That multiplies number by number. A weighted mean is the matrix product, weights @ V.",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(_scores(q, k), axis=0) @ v,
            "The softmax still runs over the queries: each column of the weights adds up to 1, and "
            "the rows, which should, do not.",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(q @ k.T / k.shape[1]) @ v,
            "The scores are divided by d, not by its root: their spread is 1 / sqrt(d), so that "
            "wide vectors attend to everything alike.",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(q @ k.T) @ v,
            "Now the scores are not divided at all; their spread grows as the root of d.",
        ),
    ),
    correct_alternatives=(
        _attend,
        lambda q, k, v: (_softmax(k @ q.T / np.sqrt(len(q[0])), axis=0).T) @ v,
    ),
    hints=(
        "There are three slips. The shapes hide them: everything in the example is 3 by 3.",
        "What should the weights of one query add up to? Sum them along both axes.",
        "With all values equal to 2, every mean is 2: which operation makes a mean of values?",
    ),
    notice="_softmax(QK'/sqrt(d)) / V stands in published articles. A square example cannot tell "
    "axes apart, and equal sizes hide a wrong operation: test with sizes that all differ.",
)
