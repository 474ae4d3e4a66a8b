"""Right answers to ``top_kept``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.top_kept import _kept


def _by_sets(counts: np.ndarray, most: int, epsilon: float, k: int, seeds: int) -> float:
    def best(values: np.ndarray) -> set[int]:
        return set(sorted(range(len(values)), key=lambda i: -values[i])[:k])

    total = 0
    for i in range(seeds):
        noise = np.random.default_rng(i).laplace(0.0, most / epsilon, len(counts))
        total += len(best(counts) & best(counts + noise))
    return total / (k * seeds)


CORRECT = (_kept, _by_sets)

EQUIVALENT = {
    "kept += len(np.intersect1d(np.argsort(-noisy)[:k], true))": "an intersection has no order",
}
