"""Exercise ``ease_weights``: the weights of EASE."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _inverse(X: np.ndarray, l2: float) -> np.ndarray:
    X = np.asarray(X, float)
    return np.linalg.inv(X.T @ X + l2 * np.eye(X.shape[1]))


def _off_diagonal(B: np.ndarray) -> np.ndarray:
    B = B.copy()
    np.fill_diagonal(B, 0.0)
    return B


def _weights(X: np.ndarray, l2: float) -> np.ndarray:
    """The right answer: ``-P[i, j] / P[j, j]`` off the diagonal."""
    P = _inverse(X, l2)
    return _off_diagonal(-P / np.diag(P))


def _ridge(X: np.ndarray, l2: float) -> np.ndarray:
    """Ridge regression without the condition on the diagonal."""
    X = np.asarray(X, float)
    gram = X.T @ X
    return np.linalg.solve(gram + l2 * np.eye(len(gram)), gram)


def _everywhere(X: np.ndarray, l2: float) -> np.ndarray:
    X = np.asarray(X, float)
    P = np.linalg.inv(X.T @ X + l2)
    return _off_diagonal(-P / np.diag(P))


_TOY = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]])
_TWO = _TOY[:, :2]
_DRAWN = (np.random.default_rng(2).random((30, 6)) < [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]).astype(int)

EXERCISE = Exercise(
    id="ease_weights",
    title="The weights of EASE",
    cases=(
        Case((_TWO, 1.0), [[0.0, 0.5], [2 / 3, 0.0]], note="two items, by hand"),
        Case((_TOY, 1.0), _weights(_TOY, 1.0), note="the lesson's table"),
        Case((_DRAWN, 20.0), _weights(_DRAWN, 20.0), note="30 people, six items"),
    ),
    known_wrong=(
        KnownWrong(
            lambda X, l2: _weights(X, l2).T,
            "Rows and columns are exchanged: column j must be divided by P[j, j], not row i by "
            "P[i, i].",
        ),
        KnownWrong(
            lambda X, l2: -_weights(X, l2),
            "The sign is turned: B[i, j] = -P[i, j] / P[j, j]. Items that go together must have "
            "positive weights.",
        ),
        KnownWrong(
            lambda X, l2: -_inverse(X, l2) / np.diag(_inverse(X, l2)),
            "The diagonal is -1. It must be 0: no item predicts itself.",
        ),
        KnownWrong(
            lambda X, l2: np.eye(np.shape(X)[1]) + _weights(X, l2),
            "The diagonal is 1: each item predicts itself. Set it to 0.",
        ),
        KnownWrong(
            lambda X, l2: _off_diagonal(_ridge(X, l2)),
            "That is ridge regression in which an item may explain itself, with the diagonal set "
            "to 0 afterwards. The condition must hold during the fit: use P.",
        ),
        KnownWrong(
            _ridge,
            "That is ridge regression: the items explain themselves. EASE has zeros on the "
            "diagonal.",
        ),
        KnownWrong(
            _everywhere,
            "The penalty is added to every entry. Add it to the diagonal only: l2 * np.eye(n).",
        ),
        KnownWrong(
            lambda X, l2: _weights(X, l2 * l2),
            "The penalty is squared. Add l2 itself.",
        ),
        KnownWrong(
            lambda X, l2: _off_diagonal(-_inverse(X, l2)),
            "The columns are not divided by the diagonal of P.",
        ),
        KnownWrong(
            lambda X, l2: _weights(np.asarray(X).T, l2),
            "X Xᵀ relates users. Items need Xᵀ X.",
        ),
    ),
    hints=(
        "P is the inverse of Xᵀ X plus l2 on its diagonal: (items, items).",
        "-P / np.diag(P) divides column j by P[j, j], because the last axis is broadcast.",
        "np.fill_diagonal(B, 0) changes B in place and returns None.",
    ),
    notice="With two items, B is a shrunken conditional probability: 2 of 3 people with boots have "
    "poles, and the penalty counts as one more who has not.",
)
