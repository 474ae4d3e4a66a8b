"""Right answers to ``fold_in``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.fold_in import _folded


def _cell_by_cell(taken, y, alpha, lam):
    left, right = lam * np.eye(y.shape[1]), np.zeros(y.shape[1])
    for i, vector in enumerate(y):
        c = 1 + alpha * (i in set(taken))
        left += c * np.outer(vector, vector)
        right += c * (i in set(taken)) * vector
    return np.linalg.solve(left, right)


CORRECT = (_cell_by_cell, _folded())
