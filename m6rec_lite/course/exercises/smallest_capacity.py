"""Exercise ``smallest_capacity``: how large a cache must be for the hits that are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise


def traffic(n: int, items: int, seed: int = 0) -> list[int]:
    """Return requests whose items have a frequency of one over their rank."""
    p = 1 / np.arange(1, items + 1)
    return np.random.default_rng(seed).choice(items, n, p=p / p.sum()).tolist()


def _needed(requests: list[int]) -> list[int]:
    """The capacity that each repeated request needs, sorted: the distinct items since its last."""
    needed, last = [], dict[int, int]()
    for i, key in enumerate(requests):
        if key in last:
            needed.append(len(set(requests[last[key] : i])))
        last[key] = i
    return sorted(needed)


def _at_least(needed: list[int], hits: float) -> int:
    """The smallest capacity with at least so many hits."""
    return needed[math.ceil(hits) - 1] if hits > 0 else 1


def _smallest(requests: list[int], share: float) -> int:
    """The right answer."""
    needed = _needed(requests)
    return _at_least(needed, share * len(needed))


def _of_requests(requests: list[int], share: float) -> int:
    needed = _needed(requests)
    hits = share * len(requests)
    return _at_least(needed, hits) if hits <= len(needed) else len(set(requests))


def _more_than(requests: list[int], share: float) -> int:
    needed = _needed(requests)
    more = math.floor(share * len(needed)) + 1
    return needed[min(more, len(needed)) - 1] if needed else 1


def _of_items(rounding: Callable[[float], int]) -> Callable[[list[int], float], int]:
    return lambda requests, share: rounding(share * len(set(requests)))


def _cases() -> tuple[Case, ...]:
    rows: tuple[tuple[list[int], float, str], ...] = (
        ([1, 2, 1, 2, 3, 3], 1.0, "1 and 2 need a cache of two, 3 a cache of one"),
        ([1, 2, 1, 2, 3, 3, 4, 4], 0.5, "half of four hits are two: a cache of one has them"),
        ([1, 2, 3, 1, 2, 3], 0.1, "a cycle of three: fewer than three entries never hit"),
        ([1, 2, 3], 0.9, "no request repeats: an unbounded cache has no hit either"),
        (traffic(300, 40), 0.5, "popular items come often"),
        (traffic(300, 40, seed=1), 0.9, "and others seldom"),
    )
    return tuple(Case((r, share), _smallest(r, share), note=note) for r, share, note in rows)


EXERCISE = OpenExercise(
    id="smallest_capacity",
    title="How large must the cache be?",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _of_requests,
            "The share is one of the *requests*; wanted is a share of the hits of an unbounded "
            "cache. The first request of each item can never hit.",
        ),
        KnownWrong(
            _more_than,
            "A capacity with exactly the wanted hits is enough: go on while there are fewer.",
        ),
        KnownWrong(
            lambda requests, share: _smallest(requests, share) - 1,
            "One entry too few: return the first capacity that has the hits, not the last without.",
        ),
        KnownWrong(
            lambda requests, share: _smallest(requests, share) + 1,
            "One entry too many: return the first capacity that reaches the hits.",
        ),
        KnownWrong(
            _of_items(math.ceil),
            "That is the share of the items, not measured: requests of popular items repeat more.",
        ),
        KnownWrong(
            _of_items(round),
            "That is the share of the items, not measured: count the hits of each capacity.",
        ),
        KnownWrong(
            lambda requests, share: len(set(requests)),
            "That capacity keeps every item: a smaller one may reach the share.",
        ),
        KnownWrong(
            lambda requests, share: math.ceil(share * len(_needed(requests))),
            "Those are the hits that are wanted; return the capacity that reaches them.",
        ),
    ),
    hints=(
        "How many hits has a cache that never drops anything? Every request but the first of an "
        "item.",
        "Try capacity 1, 2, 3, … with hits_of, and stop at the first that has enough hits.",
        "while hits_of(requests, capacity) < share * most: capacity += 1",
    ),
    notice="A cache of a fraction of the 200 items has most of the hits if a few items are asked "
    "for often; the last hits cost the most entries.",
    measured=lambda answer: int(answer(traffic(1000, 200), 0.8)),
    example=60,
)
