"""Exercise ``list_price``: predict what a re-ranker costs, then measure it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Price = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def _gain(lists: np.ndarray, target: np.ndarray, discount: np.ndarray) -> np.ndarray:
    """Discount of the target's rank in each list, 0 where it is not in it."""
    return ((lists == target[:, None]) * discount).sum(axis=1)


def _discount(k: int, first: int = 2) -> np.ndarray:
    return 1 / np.log2(np.arange(first, first + k))


def _price(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> float:
    """The right answer."""
    discount = _discount(before.shape[1])
    return float((_gain(before, target, discount) - _gain(after, target, discount)).mean())


def _by(discount: Callable[[int], np.ndarray]) -> Price:
    def price(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> float:
        weights = discount(before.shape[1])
        return float((_gain(before, target, weights) - _gain(after, target, weights)).mean())

    return price


def _relative(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> float:
    return _price(before, after, target) / _gain(before, target, _discount(before.shape[1])).mean()


def _of_hits(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> float:
    hit = (before == target[:, None]).any(axis=1)
    return _price(before[hit], after[hit], target[hit])


def shelves(trade_off: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of ten of 60 items on six shelves, without and with MMR, and targets.

    Scores are log odds of the next item plus noise. MMR sees two items of one shelf as equal.
    """
    from m6rec_lite.recommenders import top_k
    from m6rec_lite.trust import mmr

    rng = np.random.default_rng(0)
    shelf = np.arange(60) % 6
    taste = rng.normal(0, 1.5, (800, 6))[:, shelf] + rng.normal(0, 1, (800, 60))
    odds = np.exp(taste)
    drawn = rng.random(800) * odds.sum(axis=1)
    target = (np.cumsum(odds, axis=1) < drawn[:, None]).sum(axis=1)
    scores = taste + rng.normal(0, 0.7, taste.shape)
    same = (shelf[:, None] == shelf).astype(float)
    return top_k(scores, 10), mmr(scores, same, 10, trade_off), target


def _cases() -> tuple[Case, ...]:
    before = np.array([[3, 1, 2], [0, 4, 1], [5, 2, 0], [1, 2, 3]])
    after = np.array([[1, 3, 2], [0, 4, 2], [2, 5, 4], [1, 2, 3]])
    target = np.array([3, 1, 2, 9])
    wide = np.arange(10)[None], np.roll(np.arange(10), 1)[None], np.array([8])
    rows = (
        (before, after, target, "four lists of three"),
        (*wide, "the last but one falls to the last rank"),
        (before, before, target, "nothing changes"),
    )
    return tuple(Case((*args,), _price(*args), note=note) for *args, note in rows)


EXERCISE = OpenExercise(
    id="list_price",
    title="What does a varied list cost?",
    cases=_cases,
    measured=lambda answer: round(float(answer(*shelves(0.5))), 4),
    example=0.05,
    data={"shelves": shelves},
    known_wrong=(
        KnownWrong(
            lambda before, after, target: -_price(before, after, target),
            "The sign is reversed. A price is what is lost: before less after.",
        ),
        KnownWrong(
            _by(np.ones),
            "That is the price in hit rate: ranks within the list do not count. NDCG divides by "
            "log2(rank + 1).",
        ),
        KnownWrong(
            _by(lambda k: 1 / np.arange(1, k + 1)),
            "That is the price in reciprocal rank. NDCG divides by log2(rank + 1).",
        ),
        KnownWrong(
            _by(lambda k: 1 / np.log(np.arange(2, k + 2))),
            "The natural logarithm is used: then the first rank is worth 1.44. NDCG has log2.",
        ),
        KnownWrong(
            _by(lambda k: _discount(k, 3)),
            "Ranks count from 1, and the first is worth 1 / log2(2) = 1. Yours is worth less.",
        ),
        KnownWrong(
            _relative,
            "That is the share that is lost. Wanted is the difference of the two NDCG.",
        ),
        KnownWrong(
            _of_hits,
            "Users whose target was not in the list are left out. They count with 0, and may even "
            "gain.",
        ),
        KnownWrong(
            lambda before, after, target: _price(before, after, target) * len(target),
            "Summed over users, not averaged.",
        ),
    ),
    hints=(
        "One target a user: NDCG is 1 / log2(rank + 1), and 0 if it is not in the list.",
        "(before == target[:, None]) is True at the target's rank.",
        "discount = 1 / np.log2(np.arange(2, k + 2)); the mean of gain before less gain after.",
    ),
    notice="Try other trade-offs with shelves(t). The first steps towards variety cost least: they "
    "exchange items at the end of the list.",
)
