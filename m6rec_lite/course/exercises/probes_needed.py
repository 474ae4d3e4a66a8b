"""Exercise ``probes_needed``: predict how many cells a search must look into, then measure it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Needed = Callable[[np.ndarray, np.ndarray, float], int]


def _needed(
    *,
    enough: Callable[[np.ndarray, float], np.ndarray] = lambda recall, least: recall >= least,
    first: int = 1,
    recall_of: Callable[[np.ndarray, int], float] | None = None,
) -> Needed:
    """Return the right answer, or one with a mistake.

    The arguments of the answer are the rank of each cell for each query ``(n, cells)``, from 0,
    the cells of the true neighbours ``(n, k)``, and the wanted recall.
    """

    def needed(rank: np.ndarray, cells: np.ndarray, least: float) -> int:
        at = np.take_along_axis(rank, cells, axis=1)  # (n, k), rank of each neighbour's cell
        mean = recall_of or (lambda at, probes: float((at < probes).mean()))
        recall = np.array([mean(at, probes) for probes in range(1, rank.shape[1] + 1)])
        passes = np.flatnonzero(enough(recall, least))
        return int(passes[0]) + first if len(passes) else rank.shape[1]

    return needed


_answer = _needed()


def scattered(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of 60 cells for 200 queries, and the cells of their ten nearest of 6,000 items.

    Items and queries are random directions: nothing groups them.
    """
    from m6rec_lite.recommenders import top_k

    draws = np.random.default_rng(0)
    items, people = (draws.normal(size=(n, dimensions)) for n in (6000, 200))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    centres = items[:60]
    for _ in range(5):
        cell = (items @ centres.T).argmax(axis=1)
        centres = np.array([items[cell == c].sum(axis=0) for c in range(60)])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    cell = (items @ centres.T).argmax(axis=1)
    rank = np.argsort(np.argsort(-people @ centres.T, axis=1), axis=1)
    return rank, cell[top_k(people @ items.T, 10)]


def _cases() -> tuple[Case, ...]:
    rank = np.array([[0, 1, 2, 3], [3, 0, 2, 1], [1, 2, 0, 3]])
    cells = np.array([[0, 0, 1, 2], [1, 3, 3, 0], [2, 2, 2, 0]])
    rows: tuple[tuple[Any, ...], ...] = (
        (rank, cells, 0.5, "exactly half of the neighbours"),
        (rank, cells, 0.75, "three of four"),
        (rank, cells, 0.8, "four of five"),
        (rank, cells, 1.0, "all of them"),
        (rank[:, [1, 3, 0, 2]], cells, 0.5, "other ranks"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = OpenExercise(
    id="probes_needed",
    title="How many cells does a search need?",
    cases=_cases,
    measured=lambda answer: int(answer(*scattered(32), 0.95)),
    example=20,
    data={"scattered": scattered},
    known_wrong=(
        KnownWrong(
            _needed(first=0),
            "Ranks count from 0: a cell of rank r is searched if r < probes. Yours is one too few.",
        ),
        KnownWrong(
            _needed(enough=lambda recall, least: recall > least),
            "A recall equal to the wanted one is enough: `>=`, not `>`.",
        ),
        KnownWrong(
            _needed(recall_of=lambda at, probes: float((at < probes).all(axis=1).mean())),
            "That is the share of queries that find *all* of their neighbours. Recall is the share "
            "of neighbours that are found.",
        ),
        KnownWrong(
            _needed(recall_of=lambda at, probes: float((at < probes).any(axis=1).mean())),
            "That is the share of queries that find *any* neighbour. Recall is the share of "
            "neighbours that are found.",
        ),
        KnownWrong(
            _needed(recall_of=lambda at, probes: float((at[:, 0] < probes).mean())),
            "Only the nearest neighbour counts in yours. All k do.",
        ),
        KnownWrong(
            lambda rank, cells, least: int(np.quantile(cells, least)) + 1,
            "Yours reads the numbers of the cells as their ranks. rank[i, c] is the rank of cell c "
            "for query i.",
        ),
    ),
    hints=(
        "np.take_along_axis(rank, cells, axis=1) is the rank of each neighbour's cell, (n, k).",
        "With p probes, the recall is the share of these ranks below p.",
        "Return the first p from 1 on with a recall of at least `least`.",
    ),
    notice="Try scattered(4) and scattered(128). In few dimensions neighbours share a cell; in "
    "many, a random query is nearly as far from all cells, and an index saves little. Learned "
    "vectors vary mostly in a few directions, which is why indexes work.",
)
