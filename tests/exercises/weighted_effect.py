"""Right answers to ``weighted_effect``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.weighted_effect import _effect
from m6rec_lite.trust import average_effect


def _by_loops(outcome: np.ndarray, shown: np.ndarray, propensity: np.ndarray) -> float:
    sums = {1: [0.0, 0.0], 0: [0.0, 0.0]}
    for y, s, p in zip(outcome, shown, propensity, strict=True):
        weight = 1 / p if s else 1 / (1 - p)
        sums[int(s)][0] += weight * y
        sums[int(s)][1] += weight
    return sums[1][0] / sums[1][1] - sums[0][0] / sums[0][1]


def _by_the_package(outcome: np.ndarray, shown: np.ndarray, propensity: np.ndarray) -> float:
    weights = 1 / np.where(shown == 1, propensity, 1 - propensity)
    users = np.arange(len(outcome))
    return average_effect(outcome[:, None], shown[:, None], users, weights[:, None])[0]


CORRECT = (_effect, _by_loops, _by_the_package)

EQUIVALENT = {
    "w0 = (shown - 1) / (1 - propensity)": "a common sign cancels in a weighted mean",
    "w0 = (1 - shown) / (propensity - 1)": "a common sign cancels in a weighted mean",
}
