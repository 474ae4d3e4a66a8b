"""Right answers to ``negatives_needed``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.negatives_needed import _first_hard, _needed


def _by_counting(n_items: int, n_hard: int, share: float) -> int:
    draws, k = _first_hard(n_items, n_hard), 1
    while np.mean(draws <= k) < share:
        k += 1
    return k


def _by_cumulative_counts(n_items: int, n_hard: int, share: float) -> int:
    met = np.bincount(_first_hard(n_items, n_hard)).cumsum() / 2000
    return int(np.argmax(met >= share))


CORRECT = (_needed, _by_counting, _by_cumulative_counts)

EQUIVALENT: dict[str, str] = {}
