"""Exercise ``ease_weights``: the weights of EASE, trained with dropout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Penalty = Callable[[np.ndarray, float, float], np.ndarray]
Weights = Callable[[np.ndarray, float, float], np.ndarray]


def _penalty(counts: np.ndarray, l2: float, dropout: float) -> np.ndarray:
    """Return the penalty of each item: the constant one and that of dropout."""
    return np.asarray(l2 + dropout / (1 - dropout) * counts)


def _inverse(penalty: Penalty = _penalty, rows_are_items: bool = False) -> Weights:
    """Return a function that gives ``P``, with another penalty or for the users."""

    def inverse(X: np.ndarray, l2: float, dropout: float) -> np.ndarray:
        X = np.asarray(X, float).T if rows_are_items else np.asarray(X, float)
        added = np.broadcast_to(penalty(X.sum(axis=0), l2, dropout), (X.shape[1],))
        return np.linalg.inv(X.T @ X + np.diag(added))

    return inverse


def _off_diagonal(B: np.ndarray) -> np.ndarray:
    B = B.copy()
    np.fill_diagonal(B, 0.0)
    return B


def _weights(inverse: Weights) -> Weights:
    """Return a function that gives ``-P[i, j] / P[j, j]`` off the diagonal."""

    def weights(X: np.ndarray, l2: float, dropout: float) -> np.ndarray:
        P = inverse(X, l2, dropout)
        return _off_diagonal(-P / np.diag(P))

    return weights


RIGHT = _weights(_inverse())


def _ridge(X: np.ndarray, l2: float, dropout: float) -> np.ndarray:
    """Ridge regression without the condition on the diagonal."""
    X = np.asarray(X, float)
    return _inverse()(X, l2, dropout) @ X.T @ X


def _everywhere(X: np.ndarray, l2: float, dropout: float) -> np.ndarray:
    """The penalties added to whole columns, by broadcasting."""
    X = np.asarray(X, float)
    return np.linalg.inv(X.T @ X + _penalty(X.sum(axis=0), l2, dropout))


def _dropped_rows(X: np.ndarray, l2: float, dropout: float) -> np.ndarray:
    """The counts shrunk, without a penalty for them."""
    X = np.asarray(X, float) * (1 - dropout)
    return np.linalg.inv(X.T @ X + l2 * np.eye(X.shape[1]))


_TOY = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]])
_TWO = _TOY[:, :2]
_DRAWN = (np.random.default_rng(2).random((30, 6)) < [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]).astype(int)

EXERCISE = Exercise(
    id="ease_weights",
    title="The weights of EASE, trained with dropout",
    cases=(
        Case((_TWO, 1.0, 0.5), [[0.0, 2 / 7], [0.4, 0.0]], note="two items, by hand"),
        Case((_TOY, 1.0, 0.0), RIGHT(_TOY, 1.0, 0.0), note="no dropout: the lesson's table"),
        Case((_TOY, 1.0, 0.2), RIGHT(_TOY, 1.0, 0.2), note="the lesson's items, with dropout"),
        Case((_DRAWN, 20.0, 0.75), RIGHT(_DRAWN, 20.0, 0.75), note="30 people, six items"),
    ),
    known_wrong=(
        KnownWrong(
            lambda X, l2, dropout: RIGHT(X, l2, 0.0),
            "That is EASE without dropout, the lesson's: every item has the penalty `l2`. Add "
            "dropout / (1 - dropout) times the item's count.",
        ),
        KnownWrong(
            _weights(_inverse(lambda counts, l2, p: l2 + p * counts)),
            "The counts are multiplied by p. The penalty of dropout is p / (1 - p) times the "
            "count: it grows without bound as p approaches 1.",
        ),
        KnownWrong(
            _weights(_inverse(lambda counts, l2, p: l2 + (1 - p) / p * counts)),
            "The odds are inverted: p is the share that is left out, so p / (1 - p).",
        ),
        KnownWrong(
            _weights(_inverse(lambda counts, l2, p: (l2 + p / (1 - p)) * counts)),
            "l2 is multiplied by the counts too. Only the part of dropout is.",
        ),
        KnownWrong(
            _weights(_inverse(lambda counts, l2, p: l2 + p / (1 - p) * counts.mean())),
            "All items have the same penalty, that of the mean count. Give each item its own.",
        ),
        KnownWrong(
            _weights(_dropped_rows),
            "X is multiplied by 1 - p, which shrinks all of Xᵀ X alike. The penalty of dropout "
            "stands on the diagonal only.",
        ),
        KnownWrong(
            lambda X, l2, dropout: RIGHT(X, l2, dropout).T,
            "Rows and columns are exchanged: column j must be divided by P[j, j], not row i by "
            "P[i, i].",
        ),
        KnownWrong(
            lambda X, l2, dropout: -RIGHT(X, l2, dropout),
            "The sign is turned: B[i, j] = -P[i, j] / P[j, j]. Items that go together must have "
            "positive weights.",
        ),
        KnownWrong(
            lambda X, l2, dropout: RIGHT(X, l2, dropout) - np.eye(np.shape(X)[1]),
            "The diagonal is -1. It must be 0: no item predicts itself.",
        ),
        KnownWrong(
            lambda X, l2, dropout: RIGHT(X, l2, dropout) + np.eye(np.shape(X)[1]),
            "The diagonal is 1: each item predicts itself. It must be 0.",
        ),
        KnownWrong(
            lambda X, l2, dropout: _off_diagonal(_ridge(X, l2, dropout)),
            "That is ridge regression in which an item may explain itself, with the diagonal set "
            "to 0 afterwards. The condition must hold during the fit: use P.",
        ),
        KnownWrong(
            _ridge,
            "That is ridge regression: the items explain themselves. EASE has zeros on the "
            "diagonal.",
        ),
        KnownWrong(
            _weights(_everywhere),
            "The penalties are added to every row, by broadcasting. Add them to the diagonal "
            "only: np.diag(penalty).",
        ),
        KnownWrong(
            lambda X, l2, dropout: _off_diagonal(-_inverse()(X, l2, dropout)),
            "The columns are not divided by the diagonal of P.",
        ),
        KnownWrong(
            _weights(_inverse(rows_are_items=True)),
            "X Xᵀ relates users. Items need Xᵀ X, and counts of users an item.",
        ),
    ),
    hints=(
        "The count of an item is the sum of its column of X; penalty = l2 + p / (1 - p) * counts.",
        "P = np.linalg.solve(A, np.eye(n)) with A = X.T @ X + np.diag(penalty): (items, items).",
        "P / np.diag(P) divides column j by P[j, j] and has ones on its diagonal.",
    ),
    notice="With two items, B[i, j] is what both share, over the count of i and its penalties: 2 / "
    "(3 + 1 + 3). The part of dropout grows with the count, `l2` does not: by dropout a popular "
    "item loses more of its weight than a rare one.",
)
