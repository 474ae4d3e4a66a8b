"""Exercise ``shrunk_cosine``: the similarity of item neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _similarity(
    R: np.ndarray,
    shrink: float,
    denominator: Callable[[np.ndarray, float], np.ndarray] | None = None,
    diagonal: bool = True,
) -> np.ndarray:
    """Shrunken cosine, with another denominator of the number of people for the mistakes."""
    taken = (np.asarray(R) > 0).astype(float)
    together, n = taken.T @ taken, taken.sum(axis=0)
    below = np.sqrt(np.outer(n, n)) + shrink if denominator is None else denominator(n, shrink)
    similarity = np.divide(together, below, out=np.zeros_like(together), where=below > 0)
    if diagonal:
        np.fill_diagonal(similarity, 0.0)
    return similarity


def _of_counts(R: np.ndarray, shrink: float) -> np.ndarray:
    together = np.asarray(R, float).T @ np.asarray(R, float)
    n = np.sqrt(np.diag(together))
    below = np.outer(n, n) + shrink
    similarity = np.divide(together, below, out=np.zeros_like(together), where=below > 0)
    np.fill_diagonal(similarity, 0.0)
    return similarity


def _undefined(R: np.ndarray, shrink: float) -> np.ndarray:
    taken = (np.asarray(R) > 0).astype(float)
    n = taken.sum(axis=0)
    with np.errstate(all="ignore"):
        similarity = taken.T @ taken / (np.sqrt(np.outer(n, n)) + shrink)
    np.fill_diagonal(similarity, 0.0)
    return similarity


_TOY = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]])
_REPEATS = np.array([[3, 1, 0], [0, 2, 1], [1, 1, 0], [0, 1, 0], [0, 0, 2]])
_NEVER = np.array([[1, 0, 1, 1], [1, 0, 0, 0]])

EXERCISE = Exercise(
    id="shrunk_cosine",
    title="The similarity of item neighbours",
    cases=(
        Case((_TOY, 1.0), _similarity(_TOY, 1.0), note="the lesson's table"),
        Case((_TOY, 0.0), _similarity(_TOY, 0.0), note="no shrinkage"),
        Case((_REPEATS, 2.5), _similarity(_REPEATS, 2.5), note="some took an item repeatedly"),
        Case((_NEVER, 0.0), _similarity(_NEVER, 0.0), note="nobody took the second item"),
    ),
    known_wrong=(
        KnownWrong(
            lambda R, shrink: _similarity(R, shrink, diagonal=False),
            "The diagonal is not 0: each item would be its own best neighbour.",
        ),
        KnownWrong(
            lambda R, shrink: _similarity(R, 0.0),
            "The shrinkage is missing: add it to the denominator.",
        ),
        KnownWrong(
            lambda R, shrink: _similarity(R, shrink, lambda n, s: np.outer(n, n) + s),
            "The root is missing: the denominator has the root of the product of the two numbers "
            "of people.",
        ),
        KnownWrong(
            lambda R, shrink: _similarity(R, shrink, lambda n, s: np.sqrt(np.outer(n, n) + s)),
            "The shrinkage stands inside the root. It is added after the root.",
        ),
        KnownWrong(
            lambda R, shrink: _similarity(R, shrink, lambda n, s: np.sqrt(np.outer(n, n)) * s + 1),
            "The shrinkage multiplies the denominator. It is added.",
        ),
        KnownWrong(
            lambda R, shrink: _similarity(R, shrink, lambda n, s: n[:, None] + 0 * n + s),
            "That divides by the people of one item alone: the share of them that took the other, "
            "which is not symmetric. The root of the product has both.",
        ),
        KnownWrong(
            lambda R, shrink: _similarity(
                R, shrink, lambda n, s: n[:, None] + n - _similarity(_unit(R), 0, _ones, False) + s
            ),
            "That is the Jaccard similarity: people of both over people of either.",
        ),
        KnownWrong(
            _of_counts,
            "Repeated events are counted. The formula counts people: set the table to 0 and 1.",
        ),
        KnownWrong(
            _undefined,
            "Without shrinkage an item that nobody took gives 0/0. Its similarity is 0.",
        ),
        KnownWrong(
            lambda R, shrink: _similarity(np.asarray(R).T, shrink),
            "The rows are compared: those are the users. Items are the columns.",
        ),
    ),
    hints=(
        "How many people took both? One matrix product of the table of 0 and 1 with itself.",
        "taken.T @ taken has the people of each pair, and on its diagonal those of each item.",
        "np.divide(together, below, out=np.zeros_like(together), where=below > 0) leaves 0 where "
        "the denominator is 0; np.fill_diagonal sets the diagonal.",
    ),
    notice="The same shrinkage costs a pair of rare items much and a pair of popular ones little: "
    "it is compared with the root of the product of their numbers of people.",
)


def _unit(R: np.ndarray) -> np.ndarray:
    return (np.asarray(R) > 0).astype(float)


def _ones(n: np.ndarray, shrink: float) -> np.ndarray:
    """A denominator of ones, so that the similarity is the number of people who took both."""
    return np.ones((len(n), len(n)))
