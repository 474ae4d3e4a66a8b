"""Right answers to ``skip_gram_step``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.skip_gram_step import Vectors, _step
from m6rec_lite.recommenders import skip_gram_gradients


def _by_loops(
    u: np.ndarray, v: np.ndarray, i: int, j: int, negatives: list[int], lr: float
) -> Vectors:
    new_u, new_v = u.copy(), v.copy()
    for m, label in [(j, 1), *((m, 0) for m in negatives)]:
        slope = 1 / (1 + np.exp(-(u[i] @ v[m]))) - label
        new_u[i] -= lr * slope * v[m]
        new_v[m] -= lr * slope * u[i]
    return new_u, new_v


def _by_package(
    u: np.ndarray, v: np.ndarray, i: int, j: int, negatives: list[int], lr: float
) -> Vectors:
    pair = np.array([i]), np.array([j]), np.array([negatives])
    _, du, dv = skip_gram_gradients(u, v, *pair)
    return u - lr * du, v - lr * dv


CORRECT = (_step, _by_loops, _by_package)
