"""Right answers to ``matched_share``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.matched_share import _matched


def _by_normal_equations(x: np.ndarray, y: np.ndarray, n_train: int) -> float:
    """Solve the normal equations, and look at one person after another."""
    a, b = x[:n_train], y[:n_train]
    mapped = x[n_train:] @ np.linalg.solve(a.T @ a, a.T @ b)
    rest, hits = y[n_train:], 0
    for i, row in enumerate(mapped):
        cosines = [row @ other / np.linalg.norm(other) for other in rest]
        hits += int(np.argmax(cosines) == i)
    return hits / len(mapped)


CORRECT = (_matched, _by_normal_equations)

EQUIVALENT = {
    "weights = np.linalg.lstsq(x[:n_train], y[:n_train])[0]": "None is the default",
}
