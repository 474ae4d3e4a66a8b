"""Right answers to ``accumulate_gradients``, written in other ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m6rec_lite.course.exercises.accumulate_gradients import Gradients


def _accumulated_by_loop(gradients: Gradients, counts: Sequence[int]) -> np.ndarray:
    total = np.zeros_like(gradients[0], dtype=float)
    for gradient, count in zip(gradients, counts, strict=True):
        total += gradient * (count / sum(counts))
    return total


def _accumulated(gradients: Gradients, counts: Sequence[int]) -> np.ndarray:
    return np.average(np.stack(gradients), axis=0, weights=counts)


CORRECT = (_accumulated, _accumulated_by_loop)

EQUIVALENT = {
    "total = sum((count * gradient for gradient, count in zip(counts, gradients, strict=True)))": (
        "factors exchanged in a product of numbers"
    ),
}
