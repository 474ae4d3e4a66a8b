"""Exercise ``scaled_dot_product_attention``: the formula that went round."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import softmax

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_DRAWS = np.random.default_rng(5)
_softmax = partial(softmax, axis=-1)


def _scores(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    return q @ k.T / np.sqrt(k.shape[1])


def _attend(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _softmax(_scores(q, k)) @ v


def _grown(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Exponentials of the scores, before they are divided by their sums."""
    return np.exp(_scores(q, k))


_SQUARES = tuple(_DRAWS.normal(size=(3, 3)).round(1) for _ in range(3))
_LONG = (
    _DRAWS.normal(size=(2, 4)).round(1),
    _DRAWS.normal(size=(5, 4)).round(1),
    _DRAWS.normal(size=(5, 3)).round(1),
)
_ALIKE = (_SQUARES[0], _SQUARES[1], np.full((3, 3), 2.0))

EXERCISE = Exercise(
    id="scaled_dot_product_attention",
    title="The formula that went round",
    cases=(
        Case(args=_ALIKE, expected=np.full((3, 3), 2.0), note="all values are 2, so is any mean"),
        Case(args=_SQUARES, expected=_attend(*_SQUARES), note="three queries, keys and dimensions"),
        Case(args=_LONG, expected=_attend(*_LONG), note="two queries, five keys, d 4, d_v 3"),
    ),
    known_wrong=(
        KnownWrong(
            lambda q, k, v: _softmax(q @ k.T / k.shape[1], axis=0) / v,
            "Nothing is corrected yet. Where all values are 2, a mean of values is 2; what comes "
            "out of the formula?",
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
        KnownWrong(
            lambda q, k, v: _softmax(q @ k.T / k.shape[1]) / v,
            "The softmax runs over the keys now. Two mistakes are left: look at what the scores "
            "are divided by, and at what becomes of the values.",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(_scores(q, k), axis=0) / v,
            "The scores are divided by the right number now. Two mistakes are left: look at the "
            "axis of the softmax, and at what becomes of the values.",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(q @ k.T / k.shape[1], axis=0) @ v,
            "The product with the values is right now. Two mistakes are left: look at what the "
            "scores are divided by, and at the axis of the softmax.",
        ),
        KnownWrong(
            lambda q, k, v: _grown(q, k) / _grown(q, k).sum(axis=1) @ v,
            "sum(axis=1) without keepdims=True has the shape (queries,) and divides columns. Each "
            "row of the weights is divided by its own sum.",
        ),
        KnownWrong(
            lambda q, k, v: _grown(q, k) @ v,
            "The exponentials are not divided by their sum, so that the weights of a query do not "
            "add up to 1.",
        ),
        KnownWrong(
            lambda q, k, v: _softmax(q @ k.T, axis=0) @ v,
            "Two mistakes are left: the scores are not divided by the root of d, and the softmax "
            "runs over the queries.",
        ),
    ),
    hints=(
        "There are three mistakes. The shapes hide them: everything in the example is 3 by 3.",
        "What should the weights of one query add up to? Sum them along both axes.",
        "With all values equal to 2, every mean is 2: which operation makes a mean of values?",
    ),
    notice="softmax(QK'/sqrt(d)) / V stands in published articles. A square example cannot tell "
    "axes apart, and equal sizes hide a wrong operation: test with sizes that all differ.",
)
