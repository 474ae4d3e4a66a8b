"""Right answers to ``leave_early``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.leave_early import _leave


def _by_loops(p: np.ndarray, threshold: float) -> list[int]:
    layers = []
    for row in p:
        layer = 1
        while layer < len(row) and max(row[layer - 1], 1 - row[layer - 1]) < threshold:
            layer += 1
        layers.append(layer)
    return layers


def _by_count(p: np.ndarray, threshold: float) -> np.ndarray:
    unsure = np.maximum(p, 1 - p)[:, :-1] < threshold
    return 1 + np.cumprod(unsure, axis=1).sum(axis=1)


CORRECT = (_leave, _by_loops, _by_count)

EQUIVALENT: dict[str, str] = {}
