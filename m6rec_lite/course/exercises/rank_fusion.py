"""Exercise ``rank_fusion``: reciprocal rank fusion, ties included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _fuse(
    scores: Sequence[Sequence[float]],
    constant: float = 60.0,
    method: str = "average",
    sign: float = -1.0,
    shift: float = 0.0,
) -> np.ndarray:
    ranks = [rankdata(sign * np.asarray(row, float), method=method) for row in scores]
    return np.sum([1 / (constant + shift + rank) for rank in ranks], axis=0)


def _by_sorting(scores: Sequence[Sequence[float]], constant: float = 60.0) -> np.ndarray:
    """One ``argsort`` is taken for the ranks."""
    orders = [np.argsort(-np.asarray(row, float), kind="stable") + 1 for row in scores]
    return np.sum([1 / (constant + order) for order in orders], axis=0)


_DEE = [[3.0, 2.0, 2.0, 1.0], [1.0, 0.383, 0.0, 0.0]]
_THREE = [[0.1, 0.9, 0.5], [200.0, -3.0, 10.0], [0.3, 0.2, 0.1]]
_ONE = [[5.0, 7.0, 6.0, 8.0]]

EXERCISE = Exercise(
    id="rank_fusion",
    title="Reciprocal rank fusion",
    tolerance=1e-9,
    cases=(
        Case((_DEE, 60.0), _fuse(_DEE), note="popularity and content of the lesson"),
        Case((_THREE, 60.0), _fuse(_THREE), note="three lists of different scales"),
        Case((_ONE, 1.0), _fuse(_ONE, 1.0), note="one list, constant 1"),
    ),
    known_wrong=(
        KnownWrong(
            lambda scores, constant: _fuse(scores, constant, sign=1.0),
            "The lowest score has rank 1. The largest score is the first.",
        ),
        KnownWrong(
            lambda scores, constant: _fuse(scores, constant, shift=-1.0),
            "Ranks count from 1: the first item of a list adds 1 / (constant + 1).",
        ),
        KnownWrong(
            lambda scores, constant: _fuse(scores, constant, method="ordinal"),
            "Tied items have different ranks, by their index. Each has the mean of the ranks that "
            "they share.",
        ),
        KnownWrong(
            lambda scores, constant: _fuse(scores, constant, method="min"),
            "Tied items all have the best of the ranks that they share. Each has the mean of them.",
        ),
        KnownWrong(
            lambda scores, constant: _fuse(scores, constant, method="max"),
            "Tied items all have the worst of the ranks that they share. Each has the mean.",
        ),
        KnownWrong(
            _by_sorting,
            "np.argsort gives the items in order of rank, not the rank of each item. "
            "scipy.stats.rankdata(-scores) gives ranks.",
        ),
        KnownWrong(
            lambda scores, constant: np.sum(np.asarray(scores, float), axis=0),
            "The scores are added: the list with the largest numbers decides alone. Add "
            "1 / (constant + rank).",
        ),
        KnownWrong(
            lambda scores, constant: _fuse(scores, constant) / len(scores),
            "That is the mean over the lists; the formula is the sum.",
        ),
        KnownWrong(
            lambda scores, constant: _fuse(scores, 60.0),
            "The constant is always 60. Use the argument.",
        ),
    ),
    hints=(
        "First the rank of each item in each list; then the fractions; then the sum.",
        "scipy.stats.rankdata gives rank 1 to the smallest value: rank the negative scores.",
        "sum(1 / (constant + rankdata(-np.asarray(row))) for row in scores)",
    ),
    notice="In the second case a list with scores in the hundreds has no more say than the others: "
    "fusion of ranks needs no common scale, and forgets how sure a list is.",
)
