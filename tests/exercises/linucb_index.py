"""Right answers to ``linucb_index``, written in other ways."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from m6rec_lite.course.exercises.linucb_index import _index


def _by_loops(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> list[float]:
    a = np.diag([l2] * x.shape[1]).astype(float)
    b = np.zeros(x.shape[1])
    for row, answer in zip(shown, accepted, strict=True):
        a += np.outer(row, row)
        b += answer * row
    return [
        candidate @ np.linalg.solve(a, b)
        + alpha * (candidate @ np.linalg.solve(a, candidate)) ** 0.5
        for candidate in x
    ]


def _by_cholesky(
    shown: np.ndarray, accepted: np.ndarray, x: np.ndarray, alpha: float, l2: float
) -> np.ndarray:
    factor = cho_factor(l2 * np.eye(shown.shape[1]) + shown.T @ shown)
    variance = (x.T * cho_solve(factor, x.T)).sum(axis=0)
    return x @ cho_solve(factor, shown.T @ accepted) + np.sqrt(variance) * alpha


CORRECT = (_index, _by_loops, _by_cholesky)

EQUIVALENT: dict[str, str] = {}
