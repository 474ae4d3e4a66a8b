"""Exercise ``beam_misses``: predict how often a beam search misses the best item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Misses = Callable[[np.ndarray, np.ndarray, np.ndarray, int], float]


def _share(
    first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int, most: int = 10**9
) -> float:
    """Share of users whose best item is missed; ``most`` second codes of each first are kept."""
    missed = 0
    for a, b, c in zip(first, second, third, strict=True):
        pairs = a[:, None] + b
        items = pairs[:, :, None] + c
        best = np.unravel_index(items.argmax(), items.shape)
        kept = np.argsort(-a)[:beams]
        candidates = [(i, j) for i in kept for j in np.argsort(-b[i])[:most]]
        candidates = sorted(candidates, key=lambda pair: -pairs[pair])[:beams]
        missed += best[:2] not in candidates
    return missed / len(first)


def _answer(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    """The right answer."""
    return _share(first, second, third, beams)


def _greedy(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    return _share(first, second, third, 1)


def _found(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    return 1 - _share(first, second, third, beams)


def _first_codes(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    """Only the first code is compared."""
    missed = 0
    for a, b, c in zip(first, second, third, strict=True):
        items = a[:, None, None] + b[:, :, None] + c
        best = np.unravel_index(items.argmax(), items.shape)
        missed += best[0] not in np.argsort(-a)[:beams]
    return missed / len(first)


def _each_alone(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    """The best ``beams`` followers of each prefix are kept, not the best of all."""
    missed = 0
    for a, b, c in zip(first, second, third, strict=True):
        items = a[:, None, None] + b[:, :, None] + c
        i, j, _ = np.unravel_index(items.argmax(), items.shape)
        missed += i not in np.argsort(-a)[:beams] or j not in np.argsort(-b[i])[:beams]
    return missed / len(first)


def _last_step(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    """Prefixes are ranked by their last code alone."""
    missed = 0
    for a, b, c in zip(first, second, third, strict=True):
        items = a[:, None, None] + b[:, :, None] + c
        best = np.unravel_index(items.argmax(), items.shape)
        kept = np.argsort(-a)[:beams]
        candidates = [(i, j) for i in kept for j in range(b.shape[1])]
        missed += best[:2] not in sorted(candidates, key=lambda pair: -b[pair])[:beams]
    return missed / len(first)


def tables(users: int = 300, k: int = 6, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Log-probabilities of three codes of ``k`` values, of each user, given the codes before.

    Returns:
        ``(users, k)``, ``(users, k, k)`` and ``(users, k, k, k)``.
    """
    rng = np.random.default_rng(seed)
    logits = [rng.normal(0, 1.5, (users, *[k] * level)) for level in (1, 2, 3)]
    return tuple(x - np.log(np.exp(x).sum(axis=-1, keepdims=True)) for x in logits)


def _cases() -> tuple[Case, ...]:
    rows: tuple[tuple[Any, ...], ...] = (
        (*tables(20, 3, 1), 2, "20 users, codes of three values, two beams"),
        (*tables(60, 3, 0), 1, "one beam"),
        (*tables(10, 3, 3), 9, "as many beams as there are pairs of codes"),
        (*tables(60, 6, 1), 2, "60 users, codes of six values, two beams"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = OpenExercise(
    id="beam_misses",
    title="How often does a beam miss the best item?",
    cases=_cases,
    measured=lambda answer: round(float(answer(*tables(), 2)), 4),
    example=0.3,
    data={"tables": tables},
    known_wrong=(
        KnownWrong(
            _greedy,
            "One prefix is kept, whatever `beams` is: that is greedy decoding.",
        ),
        KnownWrong(_found, "That is the share of users whose best item is found."),
        KnownWrong(
            _first_codes,
            "Only the first code is searched with beams. The second is cut to the best prefixes, "
            "too.",
        ),
        KnownWrong(
            _each_alone,
            "The best followers of each prefix are kept. A beam search keeps `beams` prefixes in "
            "all.",
        ),
        KnownWrong(
            _last_step,
            "Prefixes are ranked by their last code alone. Rank them by the sum of the "
            "log-probabilities of all their codes.",
        ),
        KnownWrong(
            lambda first, second, third, beams: _share(first, second, third, beams) * len(first),
            "That is the number of users. Wanted is their share.",
        ),
        KnownWrong(
            lambda first, second, third, beams: _share(first, second, third, beams + 1),
            "One beam more than asked for is kept.",
        ),
    ),
    hints=(
        "For each user: the best item is the argmax of first[:, None, None] + second[:, :, None] "
        "+ third.",
        "Keep the `beams` best first codes; of all their pairs, keep the `beams` best by the sum.",
        "The best item is missed if its first two codes are not among the kept pairs: from a kept "
        "pair, its best third code is found.",
    ),
    notice="Try other widths with tables(). Here codes are independent draws; a trained model "
    "concentrates on few codes, and misses less.",
)
