"""Exercise ``private_counts``: counts of items with a bound on what one person changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Lists = Sequence[Sequence[int]]


def _count(lists: Lists, n_items: int, most: int | None, *, repeats: bool = False) -> np.ndarray:
    """Counts of items, where every person counts their first ``most`` different ones."""
    counts = np.zeros(n_items)
    for items in lists:
        own = list(items) if repeats else list(dict.fromkeys(items))
        for item in own[:most]:
            counts[item] += 1
    return counts


def _private(
    lists: Lists, n_items: int, most: int, epsilon: float, noise: np.ndarray
) -> np.ndarray:
    """The right answer."""
    return _count(lists, n_items, most) + most / epsilon * noise


def _scaled(scale: Callable[[int, float], float]) -> Callable[..., np.ndarray]:
    """An answer whose noise has another scale."""
    return lambda lists, n_items, most, epsilon, noise: (
        _count(lists, n_items, most) + scale(most, epsilon) * noise
    )


def _where_counted(
    lists: Lists, n_items: int, most: int, epsilon: float, noise: np.ndarray
) -> np.ndarray:
    counts = _count(lists, n_items, most)
    return np.where(counts > 0, counts + most / epsilon * noise, 0.0)


def _cases() -> tuple[Case, ...]:
    noise = np.array([0.5, -1.0, 2.0, 0.1, -0.3])
    lists = [[0, 1, 1, 2], [1, 0], [3, 3, 3], [], [2, 1, 0, 3]]
    rows: tuple[tuple[Any, ...], ...] = (
        (lists, 5, 2, 1.0, noise, "two items of each person"),
        (lists, 5, 1, 0.5, noise, "one item of each person"),
        (lists, 5, 3, 4.0, noise, "a larger epsilon"),
        ([[4, 4, 0]], 5, 2, 2.0, noise[::-1], "a repeat before the second item"),
        ([], 3, 2, 1.0, noise[:3], "no person: noise alone"),
    )
    return tuple(Case((*args,), _private(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="private_counts",
    title="Counts with a bound on what one person changes",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _scaled(lambda most, epsilon: 1 / epsilon),
            "The noise hides a change of one count. A person changes `most` counts: the "
            "sensitivity is `most`.",
        ),
        KnownWrong(
            _scaled(lambda most, epsilon: epsilon / most),
            "The scale is upside down: a small epsilon must add much noise, `most / epsilon`.",
        ),
        KnownWrong(
            _scaled(lambda most, epsilon: most * epsilon),
            "The noise grows with epsilon. A small epsilon is the strict promise: divide by it.",
        ),
        KnownWrong(
            _scaled(lambda most, epsilon: 1.0),
            "The noise is added as it was drawn, with scale 1. Multiply it by `most / epsilon`.",
        ),
        KnownWrong(
            _scaled(lambda most, epsilon: 0.0),
            "There is no noise: bounded counts alone are not private.",
        ),
        KnownWrong(
            lambda lists, n_items, most, epsilon, noise: (
                _count(lists, n_items, None) + most / epsilon * noise
            ),
            "Every person counts with all items, so that one person can change more than `most` "
            "counts, and the noise is too small for that.",
        ),
        KnownWrong(
            lambda lists, n_items, most, epsilon, noise: (
                _count(lists, n_items, most, repeats=True) + most / epsilon * noise
            ),
            "Repeats of an item are counted. Take the first `most` *different* items.",
        ),
        KnownWrong(
            _where_counted,
            "Items that no person has get no noise. An exact 0 says that no person has the item: "
            "with one person more it would not be 0.",
        ),
        KnownWrong(
            lambda lists, n_items, most, epsilon, noise: np.maximum(
                _private(lists, n_items, most, epsilon, noise), 0
            ),
            "Negative counts are cut off. That is allowed, since it looks at the noisy counts "
            "only, but wanted are the counts as they are.",
        ),
    ),
    hints=(
        "dict.fromkeys(items) keeps the first of each item, in order.",
        "If a person is added, by how much can all counts change together?",
        "counts + most / epsilon * noise, for all items, also those with the count 0.",
    ),
    notice="`most` is a trade: 1 needs the least noise, and forgets most of what people did.",
)
