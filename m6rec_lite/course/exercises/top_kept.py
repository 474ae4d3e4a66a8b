"""Open exercise ``top_kept``: how much of a list of best sellers survives the noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

#: Counts of ten items in a shop of about 200 people, each of whom counts at most two.
COUNTS = np.array([60.0, 52, 45, 40, 36, 33, 31, 30, 29, 28])


def _kept(counts: np.ndarray, most: int, epsilon: float, k: int, seeds: int) -> float:
    """The right answer."""
    return _with()(counts, most, epsilon, k, seeds)


def _with(
    scale: Callable[[int, float], float] = lambda most, epsilon: most / epsilon,
    seed: Callable[[int], int] = lambda i: i,
    top: Callable[[np.ndarray, int], np.ndarray] = lambda x, k: np.argsort(-x, kind="stable")[:k],
    share: Callable[[np.ndarray, np.ndarray], float] = lambda a, b: (
        len(np.intersect1d(a, b)) / len(a)
    ),
) -> Callable[..., float]:
    """An answer with one part changed."""

    def answer(counts: np.ndarray, most: int, epsilon: float, k: int, seeds: int) -> float:
        true, shares = top(counts, k), []
        for i in range(seeds):
            rng = np.random.default_rng(seed(i))
            noisy = counts + rng.laplace(scale=scale(most, epsilon), size=len(counts))
            shares.append(share(true, top(noisy, k)))
        return float(np.mean(shares))

    return answer


def _cases() -> tuple[Case, ...]:
    rows: tuple[tuple[Any, ...], ...] = (
        (COUNTS, 2, 0.5, 3, 40, "three best sellers, epsilon 0.5"),
        (COUNTS, 2, 0.1, 3, 40, "epsilon 0.1"),
        (COUNTS, 1, 0.1, 5, 25, "five best sellers, one item of each person"),
        (COUNTS, 2, 100.0, 4, 10, "hardly any noise"),
        (COUNTS[::-1].copy(), 5, 0.2, 2, 30, "the best sellers come last"),
    )
    return tuple(Case((*args,), _kept(*args), note=note) for *args, note in rows)


EXERCISE = OpenExercise(
    id="top_kept",
    title="How much of a list of best sellers survives the noise",
    cases=_cases,
    measured=lambda answer: float(answer(COUNTS, 2, 0.1, 3, 200)),
    example=0.5,
    known_wrong=(
        KnownWrong(
            _with(scale=lambda most, epsilon: 1 / epsilon),
            "The sensitivity is missing: a person changes `most` counts.",
        ),
        KnownWrong(
            _with(scale=lambda most, epsilon: epsilon / most),
            "The scale of the noise is upside down; wanted is most / epsilon.",
        ),
        KnownWrong(
            _with(seed=lambda i: 0),
            "Every repetition draws the same noise. Seed the generator with the number of the "
            "repetition.",
        ),
        KnownWrong(
            _with(seed=lambda i: i + 1),
            "The seeds run from 1. Wanted are 0 to seeds - 1, so that the check can repeat them.",
        ),
        KnownWrong(
            _with(top=lambda x, k: np.argsort(x, kind="stable")[:k]),
            "The items with the lowest counts are taken. Sort the largest first.",
        ),
        KnownWrong(
            _with(share=lambda a, b: float(np.mean(a == b))),
            "Items are compared rank by rank. An item that stays in the list at another rank is "
            "kept, too: compare the lists as sets.",
        ),
        KnownWrong(
            _with(share=lambda a, b: float(set(a.tolist()) == set(b.tolist()))),
            "That counts the lists that are kept whole. Wanted is the mean share of their items.",
        ),
        KnownWrong(
            _with(share=lambda a, b: float(len(np.intersect1d(a, b)))),
            "That is the number of items. Divide by k.",
        ),
    ),
    hints=(
        "true = np.argsort(-counts)[:k]; the same for counts + noise.",
        "Noise: np.random.default_rng(i).laplace(scale=most / epsilon, size=len(counts)).",
        "The share is len(np.intersect1d(true, noisy)) / k; return its mean over the seeds.",
    ),
    notice="The gaps between the counts decide: noise of the size of a gap exchanges two "
    "neighbours. Ten times the people have ten times the gaps and the same noise.",
)
