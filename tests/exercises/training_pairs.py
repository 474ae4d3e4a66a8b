"""Right answers to ``training_pairs``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.training_pairs import Pairs, _pairs


def _one_by_one(history: list[int], max_length: int) -> Pairs:
    rows = [(history[i], history[i + 1], len(history) - 2 - i) for i in range(len(history) - 1)]
    rows = [row for row in rows if row[2] < max_length]
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


CORRECT = (
    _pairs,
    _one_by_one,
    lambda history, max_length: tuple(map(np.array, _pairs(history, max_length))),
)
