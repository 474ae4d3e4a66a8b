"""Exercise ``negatives_needed``: how many negatives meet a hard negative."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise


def _first_hard(n_items: int, n_hard: int) -> np.ndarray:
    """(2000,): the draw at which each batch met its first hard negative, as in the notebook."""
    return np.random.default_rng(0).geometric(n_hard / n_items, size=2000)


def _needed(n_items: int, n_hard: int, share: float) -> int:
    """The right answer."""
    draws = np.sort(_first_hard(n_items, n_hard))
    return int(draws[math.ceil(share * len(draws)) - 1])


_ROWS = (
    (1000, 10, 0.5, "half of the batches"),
    (10, 10, 0.9, "every item is a hard negative: one draw is enough"),
    (1000, 1, 0.999, "one hard negative among 1,000, nearly all batches"),
    (1000, 1, 0.9985, "the same, a few batches fewer"),
    (800, 40, 0.95, "one item in twenty"),
    (1000, 1, 1.0, "all batches"),
)

EXERCISE = OpenExercise(
    id="negatives_needed",
    title="How many negatives meet a hard negative?",
    cases=tuple(Case(row[:3], _needed(*row[:3]), note=row[3]) for row in _ROWS),
    known_wrong=(
        KnownWrong(
            lambda n_items, n_hard, share: math.ceil(n_items / n_hard),
            "That is the mean number of draws until a hard negative. In many batches it takes "
            "longer.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: math.ceil(share * n_items / n_hard),
            "Probabilities of draws do not add up: two draws of 1 % miss with .99 * .99.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: float(_first_hard(n_items, n_hard).mean()),
            "That is the mean over the batches; wanted is the number that is enough for a share.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: int(np.median(_first_hard(n_items, n_hard))),
            "That is the median: enough for half of the batches, whatever the share.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: _needed(n_items, n_hard, share) + 1,
            "One too many: a batch whose first one is draw k has met it with k negatives.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: _needed(n_items, n_hard, share) - 1,
            "One too few: with that number fewer than the share of the batches have met one.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: int(
                np.sort(_first_hard(n_items, n_hard))[math.floor((1 - share) * 2000)]
            ),
            "That is the number for 1 - share: the batches that meet one early.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: int(_first_hard(n_items, n_hard).max()),
            "That is enough for all batches; return the smallest number for the share.",
        ),
        KnownWrong(
            lambda n_items, n_hard, share: int(
                _first_hard(n_items, n_hard)[math.ceil(share * 2000) - 1]
            ),
            "The draws are not sorted: this is the number of one batch.",
        ),
    ),
    hints=(
        "A batch has met a hard negative if its first one is at most the number of negatives.",
        "Sort the 2,000 numbers. How many of them may be above the answer?",
        "np.sort(draws)[ceil(share * 2000) - 1]",
    ),
    notice="The exact number is the smallest k with 1 - (1 - hard / items)^k at or above the "
    "share. A loss with few negatives seldom sees the items that it must learn to tell apart.",
    measured=lambda answer: int(answer(1000, 10, 0.9)),
    example=150,
)
