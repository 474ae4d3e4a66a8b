"""Exercise ``homophily``: how much more alike friends are than any two people."""

from __future__ import annotations

from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _jaccard(taken: np.ndarray) -> np.ndarray:
    """``(n, n)`` shares of common items among all items of two people."""
    taken = np.asarray(taken, dtype=float)
    common, sizes = taken @ taken.T, taken.sum(axis=1)
    return common / (sizes[:, None] + sizes - common)


def _dice(taken: np.ndarray) -> np.ndarray:
    taken = np.asarray(taken, dtype=float)
    sizes = taken.sum(axis=1)
    return taken @ taken.T / (sizes[:, None] + sizes)


def _cosine(taken: np.ndarray) -> np.ndarray:
    taken = np.asarray(taken, dtype=float)
    sizes = taken.sum(axis=1)
    return taken @ taken.T / np.sqrt(sizes[:, None] * sizes)


def _means(alike: np.ndarray, pairs: np.ndarray) -> tuple[float, float]:
    """Of friends, and of all pairs of two people."""
    apart = np.triu(np.ones(alike.shape, dtype=bool), k=1)
    return float(alike[pairs[:, 0], pairs[:, 1]].mean()), float(alike[apart].mean())


def _ratio(alike: np.ndarray, pairs: np.ndarray) -> float:
    friends, everybody = _means(alike, pairs)
    return friends / everybody


def _homophily(taken: np.ndarray, pairs: np.ndarray) -> float:
    """The right answer."""
    return _ratio(_jaccard(taken), pairs)


def _with_self(taken: np.ndarray, pairs: np.ndarray) -> float:
    alike = _jaccard(taken)
    return float(_means(alike, pairs)[0] / alike.mean())


def _strangers(taken: np.ndarray, pairs: np.ndarray) -> float:
    alike = _jaccard(taken)
    apart = np.triu(np.ones(alike.shape, dtype=bool), k=1)
    apart[pairs.min(axis=1), pairs.max(axis=1)] = False
    return float(_means(alike, pairs)[0] / alike[apart].mean())


def _difference(taken: np.ndarray, pairs: np.ndarray) -> float:
    friends, everybody = _means(_jaccard(taken), pairs)
    return friends - everybody


def _mean_of_ratios(taken: np.ndarray, pairs: np.ndarray) -> float:
    taken = np.asarray(taken, dtype=float)
    return float((taken[pairs[:, 0]] * taken[pairs[:, 1]]).sum(axis=1).mean())


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(0)
    small = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 1, 0]])
    large = (rng.random((12, 30)) < rng.uniform(0.1, 0.6, (12, 1))).astype(int)
    large[:, 0] = 1  # everybody has an item
    some = np.array([[0, 5], [7, 2], [3, 4], [11, 10], [9, 1]])
    rows: tuple[tuple[Any, ...], ...] = (
        (small, np.array([[0, 3]]), "one pair of friends"),
        (small, np.array([[3, 0], [1, 2]]), "two pairs, in either order"),
        (small, np.array([[0, 2]]), "friends without a common item"),
        (large, some, "twelve people"),
    )
    return tuple(Case((*args,), _homophily(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="homophily",
    title="Are friends alike?",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda taken, pairs: _ratio((taken @ taken.T).astype(float), pairs),
            "Common items are counted. Whoever takes much has much in common with all: divide by "
            "the items of both together.",
        ),
        KnownWrong(
            lambda taken, pairs: _ratio(_dice(taken), pairs),
            "The common items are counted twice in the denominator. The union is both sizes less "
            "the common ones.",
        ),
        KnownWrong(
            lambda taken, pairs: _ratio(_cosine(taken), pairs),
            "That is the cosine. Jaccard divides by the size of the union.",
        ),
        KnownWrong(
            _with_self,
            "Each person is compared with herself too, where the similarity is 1. Take pairs of "
            "two different people.",
        ),
        KnownWrong(
            _strangers,
            "The pairs of friends are left out of the comparison. Wanted are all pairs of two "
            "people.",
        ),
        KnownWrong(_difference, "That is the difference of the two means; wanted is their ratio."),
        KnownWrong(
            lambda taken, pairs: 1 / max(_homophily(taken, pairs), 1e-12),
            "The ratio is turned: friends over everybody.",
        ),
        KnownWrong(_mean_of_ratios, "Friends alone say nothing: compare them with all pairs."),
        KnownWrong(
            lambda taken, pairs: _ratio(_jaccard(1 - np.asarray(taken)), pairs),
            "Items that neither took are counted as common.",
        ),
    ),
    hints=(
        "taken @ taken.T has the numbers of common items; sums of rows the sizes.",
        "Jaccard: common / (size of one + size of the other - common).",
        "np.triu_indices(n, k=1) are all pairs of two different people.",
    ),
    notice="Above 1, friends are more alike than any two people. Whether that suffices for a list "
    "is another question: in the lesson it did not.",
)
