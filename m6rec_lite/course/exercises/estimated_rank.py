"""Exercise ``estimated_rank``: the rank that WARP estimates from its number of draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise


def _expected(
    estimate: Callable[[np.ndarray, int, int], np.ndarray],
    *,
    from_zero: bool = False,
    missing: int = 0,
) -> Callable[..., float]:
    """Expectation of an estimate over the number of draws, 1 to n_max, and none afterwards."""

    def estimated_rank(above, n_others, n_max):
        draws = np.arange(1, n_max + 1)
        p = above / n_others
        chances = p * (1 - p) ** (draws if from_zero else draws - 1)
        return float(
            (chances * estimate(draws, above, n_others)).sum() + missing * (1 - p) ** n_max
        )

    return estimated_rank


def _share(draws: np.ndarray, above: int, n_others: int) -> np.ndarray:
    return n_others / draws


def _of_the_mean(above, n_others, n_max):
    return float(n_others / (n_others / above))


def _given_found(above, n_others, n_max):
    p = above / n_others
    return _expected(_share)(above, n_others, n_max) / (1 - (1 - p) ** n_max)


_ARGS = ((1, 2, 2), (30, 100, 1), (10, 100, 10), (100, 1000, 400), (5, 5, 3))

EXERCISE = OpenExercise(
    id="estimated_rank",
    title="What rank does WARP see?",
    cases=tuple(Case(args, _expected(_share)(*args)) for args in _ARGS),
    known_wrong=(
        KnownWrong(
            _of_the_mean,
            "That is the estimate at the mean number of draws. The mean of 1/N is not 1 over the "
            "mean of N: average the estimates.",
        ),
        KnownWrong(
            _expected(_share, from_zero=True),
            "The chance of N draws is (1 - p)^(N - 1) p: only the draws before the last one fail.",
        ),
        KnownWrong(
            _given_found,
            "You divide by the chance of a hit. A pair without a hit within n_max draws has no "
            "step, so its estimate counts as 0.",
        ),
        KnownWrong(
            _expected(lambda draws, above, n_others: draws),
            "That is the mean number of draws; the estimate is n_others / N.",
        ),
        KnownWrong(
            _expected(lambda draws, above, n_others: 1.0 / draws),
            "That is the mean of 1/N; multiply by n_others.",
        ),
        KnownWrong(
            _expected(lambda draws, above, n_others: np.full(len(draws), float(above))),
            "That is the true rank times the chance of a hit; the estimate is n_others / N.",
        ),
        KnownWrong(
            _expected(_share, missing=1),
            "A pair without a hit counts as rank 1 in your sum. It has no step: 0.",
        ),
        KnownWrong(
            _expected(lambda draws, above, n_others: (n_others + 1) / draws),
            "The items that can be drawn are n_others; the positive itself is not among them.",
        ),
    ),
    hints=(
        "A draw is one of the items above with the chance p = above / n_others.",
        "N draws: N - 1 misses, then a hit, (1 - p)^(N - 1) p. Its estimate is n_others / N.",
        "draws = np.arange(1, n_max + 1); sum of chance times estimate.",
    ),
    notice="The estimate is far too high on average, because one early hit outweighs many late "
    "ones. WARP takes the harmonic number of it, which grows like a logarithm, so that the weight "
    "of a step is off by less.",
    measured=lambda answer: float(answer(100, 1000, 1000) / 100),
    example=2.0,
)
