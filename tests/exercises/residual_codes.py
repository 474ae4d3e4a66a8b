"""Right answers to ``residual_codes``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.residual_codes import _answer


def _by_loops(vectors: np.ndarray, codebooks: np.ndarray) -> list[list[int]]:
    rows = []
    for vector in vectors:
        rest, row = vector.copy(), []
        for centroids in codebooks:
            code = min(range(len(centroids)), key=lambda i: np.linalg.norm(rest - centroids[i]))
            rest = rest - centroids[code]
            row.append(code)
        rows.append(row)
    return np.array(rows)


def _expanded(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    codes = np.empty((len(vectors), len(codebooks)), dtype=int)
    rest = np.array(vectors)
    for level, c in enumerate(codebooks):
        codes[:, level] = ((c**2).sum(axis=1) - 2 * rest @ c.T).argmin(axis=1)
        rest -= c[codes[:, level]]
    return codes


CORRECT = (_answer, _by_loops, _expanded)

EQUIVALENT = {
    "distances = ((centroids - residuals[:, None]) ** 2).sum(axis=2)": "the sign is squared away",
    "distances = ((residuals[:, None] - centroids) ** 2).mean(axis=2)": (
        "the mean is the sum divided by d, so the nearest stays the nearest"
    ),
}
