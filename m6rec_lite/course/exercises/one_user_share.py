"""Open exercise ``one_user_share``: how many nearest neighbours rest on one person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Share = Callable[[np.ndarray, float], float]


def _table() -> np.ndarray:
    """Return 400 people and 300 items, of which few are popular: bool, about 8 items each."""
    draw = np.random.default_rng(3)
    odds = 1 / np.arange(1, 301) ** 0.8
    return draw.random((400, 300)) < 8 * odds / odds.sum()


TABLE = _table()


def _parts(R: np.ndarray, shrink: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the people who took both, their shrunken cosine, and who took each item."""
    taken = np.asarray(R, float)
    together, n = taken.T @ taken, taken.sum(axis=0)
    below = np.sqrt(np.outer(n, n)) + shrink
    similarity = np.divide(together, below, out=np.zeros_like(together), where=below > 0)
    np.fill_diagonal(similarity, -1.0)
    return together, similarity, n


def _share(
    R: np.ndarray,
    shrink: float,
    pick: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    least: int = 1,
) -> float:
    """The share; ``pick`` chooses other neighbours, ``least`` another number of people."""
    together, similarity, _ = _parts(R, shrink)
    nearest = (pick or (lambda both, sim: sim.argmax(axis=1)))(together, similarity)
    return float((together[np.arange(len(nearest)), nearest] == least).mean())


def _of_pairs(R: np.ndarray, shrink: float) -> float:
    together, _, _ = _parts(R, shrink)
    pairs = together[np.triu_indices(len(together), 1)]
    return float((pairs == 1).mean())


def _with_itself(R: np.ndarray, shrink: float) -> float:
    _, _, n = _parts(R, shrink)
    return float((n == 1).mean())


def _at_most_one(R: np.ndarray, shrink: float) -> float:
    together, similarity, _ = _parts(R, shrink)
    return float((together[np.arange(len(together)), similarity.argmax(axis=1)] <= 1).mean())


_ALONE = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 1], [0, 1, 0]], bool)
_SMALL = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0]], bool)


def _cases() -> tuple[Case, ...]:
    settings = (
        (_SMALL, 0.0, "the lesson's table, and an item that nobody took"),
        (_ALONE, 0.0, "an item of one person who took nothing else: it has no neighbour"),
        (TABLE[:150], 0.0, "150 people, no shrinkage"),
        (TABLE[:150], 3.0, "150 people, shrinkage 3"),
        (TABLE, 1.0, "all people, shrinkage 1"),
    )
    return tuple(Case((R, s), _share(R, s), note=note) for R, s, note in settings)


EXERCISE = OpenExercise(
    id="one_user_share",
    title="Predict and measure: neighbours that rest on one person",
    tolerance=0.012,  # equal similarities may differ by rounding
    data={"table": TABLE},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _of_pairs,
            "That is a share of all pairs of items. Asked is the nearest neighbour of each item.",
        ),
        KnownWrong(
            _with_itself,
            "Each item is its own nearest neighbour here: leave the diagonal out.",
        ),
        KnownWrong(
            lambda R, shrink: _share(R, 0.0),
            "The shrinkage has no effect: it belongs into the similarity that chooses the "
            "neighbour.",
        ),
        KnownWrong(
            lambda R, shrink: _share(R, shrink, pick=_most_people),
            "The neighbour with the most common people is taken. Take the largest similarity.",
        ),
        KnownWrong(
            _at_most_one,
            "Items without any common person are counted too: exactly one is asked.",
        ),
        KnownWrong(
            lambda R, shrink: 1 - _share(R, shrink),
            "That is the share of the other neighbours.",
        ),
        KnownWrong(
            lambda R, shrink: _share(R, shrink) * np.asarray(R).shape[1],
            "That is the number of items; divide by it for the share.",
        ),
    ),
    hints=(
        "together = R.T @ R has the people who took both; the similarity is that of shrunk_cosine.",
        "Set the diagonal of the similarity to -1, then argmax along axis 1: the first of equals.",
        "together[np.arange(n), nearest] == 1, and the mean of it.",
    ),
    notice="The table was drawn at random: no two items belong together. Without shrinkage many "
    "items still have a neighbour, on the evidence of one person.",
    measured=lambda answer: float(answer(TABLE, 0.0)),
    example=0.3,
)


def _most_people(together: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    return np.where(similarity < 0, -1.0, together).argmax(axis=1)
