"""Exercise ``k_anonymity``: the smallest group that fits what an attacker knows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _sizes(has: np.ndarray, n_known: int) -> list[int]:
    """The size of the anonymity set of each user and each choice of known items."""
    return [
        int(has[:, known].all(axis=1).sum())
        for row in has
        for known in combinations(np.flatnonzero(row), n_known)
    ]


def _k(has: np.ndarray, n_known: int) -> int:
    """The right answer."""
    return min(_sizes(has, n_known))


def _any(has: np.ndarray, n_known: int) -> int:
    return min(
        int(has[:, known].any(axis=1).sum())
        for row in has
        for known in combinations(np.flatnonzero(row), n_known)
    )


def _equal_histories(has: np.ndarray, n_known: int) -> int:
    rows = [row for row in has if row.sum() >= n_known]
    return min(int((has == row).all(axis=1).sum()) for row in rows)


def _first_items(has: np.ndarray, n_known: int) -> int:
    known = [np.flatnonzero(row)[:n_known] for row in has if row.sum() >= n_known]
    return min(int(has[:, items].all(axis=1).sum()) for items in known)


def _all_subsets(has: np.ndarray, n_known: int) -> int:
    subsets = combinations(range(has.shape[1]), n_known)
    return min(int(has[:, items].all(axis=1).sum()) for items in subsets)


def _of_users_with_n(has: np.ndarray, n_known: int) -> int:
    return min(
        int((has[:, known].all(axis=1) & (has.sum(axis=1) == n_known)).sum())
        for row in has
        for known in combinations(np.flatnonzero(row), n_known)
    )


def _table(*rows: str) -> np.ndarray:
    return np.array([[letter == "1" for letter in row] for row in rows])


def _cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(4)
    rows = (
        (_table("1100", "1100", "1010", "1110"), 1, "one item is known"),
        (_table("1100", "1100", "1010", "1110"), 2, "the fourth person has 2 and 3"),
        (_table("110", "110", "110", "000"), 2, "the last person has no item"),
        (_table("1110", "1110", "1001", "1001"), 2, "two groups of two"),
        (draw.random((24, 5)) < 0.7, 2, "24 people"),
        (draw.random((30, 5)) < 0.8, 3, "30 people, three known items"),
    )
    return tuple(Case((has, n), _k(has, n), note=note) for has, n, note in rows)


def _of(summary: Callable[[list[int]], float]) -> Callable[[np.ndarray, int], float]:
    return lambda has, n_known: summary(_sizes(has, n_known))


EXERCISE = Exercise(
    id="k_anonymity",
    title="The smallest group that fits what an attacker knows",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _of(lambda sizes: float(np.mean(sizes))),
            "That is the mean. A promise to everybody is about the worst case: the smallest set.",
        ),
        KnownWrong(_of(max), "That is the largest set, the best protected person."),
        KnownWrong(
            _of(lambda sizes: min(sizes) - 1),
            "The person is not counted. k-anonymity counts them: a person alone has k = 1.",
        ),
        KnownWrong(
            _any,
            "Users who have any of the known items are counted. The attacker looks for those who "
            "have all of them.",
        ),
        KnownWrong(
            _equal_histories,
            "Users with the same whole history are counted. The attacker knows a part of it, and "
            "whoever has that part fits.",
        ),
        KnownWrong(
            _first_items,
            "Only the first items of each user are tried. The attacker may know any of them.",
        ),
        KnownWrong(
            _all_subsets,
            "Sets of items that no person has are tried, too, and give 0. The known items are "
            "those of a real user.",
        ),
        KnownWrong(
            _of_users_with_n,
            "Only users with exactly that many items are counted. Others fit as well.",
        ),
        KnownWrong(
            _of(lambda sizes: sum(size == 1 for size in sizes)),
            "That is the number of sets of size 1. Return the size of the smallest set.",
        ),
    ),
    hints=(
        "For each user: which n_known items could be known? itertools.combinations lists them.",
        "has[:, known].all(axis=1) says who fits.",
        "The answer is the smallest of all counts.",
    ),
    notice="One unusual purchase is enough for k = 1: histories are long and sparse, so "
    "k-anonymity of a whole log needs so much coarsening that little is left to learn.",
)
