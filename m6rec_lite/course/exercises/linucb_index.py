"""Exercise ``linucb_index``: ridge regression of the answers, and its upper bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _fit(shown: np.ndarray, accepted: np.ndarray, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and the inverse of A."""
    a = shown.T @ shown + l2 * np.eye(shown.shape[1])
    inverse = np.linalg.inv(a)
    return inverse @ shown.T @ accepted, inverse


def _variance(x: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    return np.einsum("md,de,me->m", x, inverse, x)


def _index(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    """The right answer."""
    w, inverse = _fit(shown, accepted, l2)
    return x @ w + alpha * np.sqrt(_variance(x, inverse))


def _no_root(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    w, inverse = _fit(shown, accepted, l2)
    return x @ w + alpha * _variance(x, inverse)


def _not_inverted(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    w, inverse = _fit(shown, accepted, l2)
    return x @ w + alpha * np.sqrt(_variance(x, np.linalg.inv(inverse)))


def _no_penalty(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    return _index(shown, accepted, x, alpha, 1e-9)


def _unit_penalty(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    return _index(shown, accepted, x, alpha, 1.0)


def _greedy(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    return _index(shown, accepted, x, 0.0, l2)


def _lower(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    return _index(shown, accepted, x, -alpha, l2)


def _only_diagonal(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    w, inverse = _fit(shown, accepted, l2)
    return x @ w + alpha * np.sqrt((x**2) @ np.diag(inverse))


def _without_x(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    w, inverse = _fit(shown, accepted, l2)
    return x @ w + alpha * np.sqrt(np.trace(inverse)) * np.ones(len(x))


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(0)
    one = np.array([[1.0, 0.0]]), np.array([1.0]), np.array([[1.0, 0.0], [0.0, 1.0]])
    few = np.array([[1.0, 2.0], [1.0, -1.0], [1.0, 0.5]]), np.array([1.0, 0.0, 1.0])
    many = rng.normal(size=(20, 3)).round(2), rng.integers(0, 2, 20).astype(float)
    rows: tuple[tuple[Any, ...], ...] = (
        (*one, 1.0, 1.0, "one answer: the other direction is unknown"),
        (*few, np.array([[1.0, 1.0], [1.0, -2.0]]), 0.5, 2.0, "three answers"),
        (*few, np.array([[1.0, 1.0], [1.0, -2.0]]), 0.0, 0.1, "alpha = 0"),
        (*many, rng.normal(size=(4, 3)).round(2), 1.5, 0.5, "twenty answers, three features"),
    )
    return tuple(Case((*args,), _index(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="linucb_index",
    title="Ridge regression and its upper bound",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _no_root,
            "The square root is missing: x' A^-1 x is a variance, the bound is a standard "
            "deviation.",
        ),
        KnownWrong(
            _not_inverted,
            "A stands in the bound where its inverse belongs: the bound would grow with what is "
            "known.",
        ),
        KnownWrong(_no_penalty, "The penalty l2 is not added to the diagonal of A."),
        KnownWrong(_unit_penalty, "The penalty is 1 whatever l2 says: add l2 * identity."),
        KnownWrong(_greedy, "The bound is not added: that is ridge regression, which is greedy."),
        KnownWrong(_lower, "The bound is subtracted: that avoids what is little known."),
        KnownWrong(
            _only_diagonal,
            "Only the diagonal of A^-1 enters. Features go together: x' A^-1 x needs all of it.",
        ),
        KnownWrong(
            _without_x,
            "The bound is the same for every candidate, so it changes no ranking. It depends on "
            "the candidate's x.",
        ),
    ),
    hints=(
        "A = X'X + l2 I with a row of X for each shown item; w solves A w = X'y.",
        "The variance of one candidate is x @ np.linalg.inv(A) @ x.",
        "For all rows at once: np.einsum('md,de,me->m', x, inverse, x).",
    ),
    notice="The bound shrinks in the directions that were shown, whatever the answers were.",
)
