"""Right answers to ``ease_weights``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.ease_weights import _weights


def _by_regressions(X: np.ndarray, l2: float) -> np.ndarray:
    X = X.astype(float)
    n = X.shape[1]
    B = np.zeros((n, n))
    for j in range(n):
        others = [i for i in range(n) if i != j]
        A = X[:, others]
        B[others, j] = np.linalg.solve(A.T @ A + l2 * np.eye(n - 1), A.T @ X[:, j])
    return B


CORRECT = (_weights, _by_regressions)

EQUIVALENT: dict[str, str] = {}
