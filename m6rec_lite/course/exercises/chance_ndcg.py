"""Open exercise ``chance_ndcg``: the NDCG@10 of scores that know nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Measure = Callable[[np.ndarray, np.ndarray, int], float]

PEOPLE, MANY, FEW = 20_000, 300, 30


def draw(people: int, items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random scores ``(people, items)`` and the hidden item of each person."""
    rng = np.random.default_rng(seed)
    return rng.random((people, items), dtype=np.float32), rng.integers(items, size=people)


def _ranks(scores: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    own = scores[np.arange(len(scores)), hidden]
    return np.asarray(1 + (scores > own[:, None]).sum(axis=1))


def _gains(rank: np.ndarray, k: int) -> np.ndarray:
    return np.where(rank <= k, 1 / np.log2(rank + 1), 0.0)


def _measure(
    gains: Callable[[np.ndarray, int], np.ndarray] = _gains,
    ranks: Callable[[np.ndarray, np.ndarray], np.ndarray] = _ranks,
    summarize: Callable[[np.ndarray], float] = np.mean,
) -> Measure:
    """Return the mean gain of the hidden items, with another gain, rank or summary."""

    def measure(scores: np.ndarray, hidden: np.ndarray, k: int) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(summarize(gains(ranks(scores, hidden), k)))

    return measure


RIGHT = _measure()


def _cases() -> tuple[Case, ...]:
    scores = np.array([[0.9, 0.2, 0.5, 0.1], [0.3, 0.6, 0.4, 0.8], [0.7, 0.1, 0.2, 0.3]])
    settings = (
        (scores, np.array([0, 1, 1]), 2, "ranks 1, 2 and 4, of which two count"),
        (scores, np.array([2, 2, 3]), 3, "ranks 2, 3 and 2"),
        (*draw(400, 30, seed=1), 10, "400 people, 30 items"),
        (*draw(300, 200, seed=2), 5, "300 people, 200 items, the first five ranks"),
    )
    return tuple(Case((s, h, k), RIGHT(s, h, k), note=note) for s, h, k, note in settings)


EXERCISE = OpenExercise(
    id="chance_ndcg",
    title="Predict and measure: the NDCG@10 of scores that know nothing",
    data={"draw": draw},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _measure(ranks=lambda s, h: _ranks(s, h) - 1),
            "The best item has rank 0 here. Ranks begin at 1: one more than the number of items "
            "with a higher score.",
        ),
        KnownWrong(
            _measure(ranks=lambda s, h: _ranks(s, h) + 1),
            "The hidden item is counted among those above it: compare with >, not >=.",
        ),
        KnownWrong(
            _measure(ranks=lambda s, h: _ranks(-s, h)),
            "The items are ranked upside down: the highest score has rank 1.",
        ),
        KnownWrong(
            _measure(gains=lambda rank, k: 1 / np.log2(rank + 1)),
            "Ranks below k have a gain too. Beyond rank k it is 0.",
        ),
        KnownWrong(
            _measure(gains=lambda rank, k: np.where(rank < k, 1 / np.log2(rank + 1), 0.0)),
            "Rank k itself still counts: rank <= k.",
        ),
        KnownWrong(
            _measure(gains=lambda rank, k: (rank <= k).astype(float)),
            "That is the share of people whose hidden item is among the k: every hit has the "
            "gain 1. NDCG gives a lower rank less.",
        ),
        KnownWrong(
            _measure(gains=lambda rank, k: np.where(rank <= k, 1 / np.log(rank + 1), 0.0)),
            "The logarithm is the natural one. With np.log2 rank 1 has the gain 1.",
        ),
        KnownWrong(
            _measure(gains=lambda rank, k: np.where(rank <= k, 1 / rank, 0.0)),
            "That gain is one over the rank (the reciprocal rank). NDCG takes a logarithm.",
        ),
        KnownWrong(
            _measure(summarize=np.sum),
            "The gains are added up. NDCG is their mean over people.",
        ),
        KnownWrong(
            _measure(summarize=lambda gains: gains[gains > 0].mean()),
            "The mean is over those who were hit. Whoever was not has a gain of 0 and counts.",
        ),
    ),
    hints=(
        "The score of the hidden item: scores[np.arange(len(scores)), hidden].",
        "rank = 1 + (scores > own[:, None]).sum(axis=1), one for each person.",
        "np.where(rank <= k, 1 / np.log2(rank + 1), 0).mean()",
    ),
    notice="By chance each rank is equally likely, so the expected NDCG@10 is 4.54 over the number "
    "of items, and the factor is 10 but for the draw: 0.015 with 300 items, 0.151 with 30, 0.005 "
    "with the 900 of the bazaar. A figure says little without the number of items (lesson 02).",
    measured=lambda answer: float(answer(*draw(PEOPLE, FEW), 10) / answer(*draw(PEOPLE, MANY), 10)),
    example=3.0,
)
