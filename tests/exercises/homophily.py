"""Right answers to ``homophily``, written in other ways."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.spatial.distance import pdist, squareform

from m6rec_lite.course.exercises.homophily import _homophily


def _by_sets(taken: np.ndarray, pairs: np.ndarray) -> float:
    sets = [set(np.flatnonzero(row)) for row in taken]

    def alike(a: int, b: int) -> float:
        return len(sets[a] & sets[b]) / len(sets[a] | sets[b])

    everybody = [alike(a, b) for a, b in combinations(range(len(sets)), 2)]
    return np.mean([alike(a, b) for a, b in pairs]) / np.mean(everybody)


def _by_scipy(taken: np.ndarray, pairs: np.ndarray) -> float:
    distances = pdist(np.asarray(taken, dtype=bool), "jaccard")
    table = squareform(distances)
    return (1 - table[tuple(pairs.T)]).mean() / (1 - distances).mean()


CORRECT = (_homophily, _by_sets, _by_scipy)

EQUIVALENT = {
    "alike = common / (common - (sizes[:, None] + sizes))": "both means change their sign",
    "return alike[pairs[:, 1], pairs[:, 0]].mean() / alike[one, other].mean()": "symmetric",
    "return alike[pairs[:, 0], pairs[:, 1]].mean() / alike[other, one].mean()": "symmetric",
}
