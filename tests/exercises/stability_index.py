"""Right answers to ``stability_index``, written in other ways."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.stability_index import _answer


def _by_package(reference: np.ndarray, now: np.ndarray, bins: int) -> float:
    from m6rec_lite.serving import psi

    return psi(reference, now, bins=bins)


def _by_loops(reference: np.ndarray, now: np.ndarray, bins: int) -> float:
    edges = np.quantile(reference, np.arange(1, bins) / bins).tolist()
    total = 0.0
    for b in range(bins):
        low = edges[b - 1] if b else -math.inf
        high = edges[b] if b < bins - 1 else math.inf
        p, q = (
            (sum(low < v <= high for v in values.tolist()) + 0.5) / (len(values) + 0.5 * bins)
            for values in (reference, now)
        )
        total += (p - q) * math.log(p / q)
    return total


CORRECT = (_answer, _by_package, _by_loops)

EQUIVALENT = {
    "p, q = (shares(now), shares(reference))": "the index is symmetric in p and q",
}
