"""Right answers to ``draw_spread``, written in other ways."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from m6rec_lite.evaluation import auc


def _spread(
    x: np.ndarray, y: np.ndarray, rows: Sequence[np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
    values = []
    for i in rows:
        direction = x[i][y[i] == 1].mean(axis=0) - x[i][y[i] == 0].mean(axis=0)
        values.append(auc(test[1], test[0] @ direction))
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _spread_by_sums(
    x: np.ndarray, y: np.ndarray, rows: Sequence[np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> list[float]:
    values = []
    for i in rows:
        weights = np.where(y[i] == 1, 1 / y[i].sum(), -1 / (1 - y[i]).sum())
        scores = test[0] @ (weights @ x[i])
        pairs = [
            float(a > b) + float(a == b) / 2
            for a in scores[test[1] == 1]
            for b in scores[test[1] == 0]
        ]
        values.append(sum(pairs) / len(pairs))
    return [statistics.mean(values), statistics.stdev(values)]


CORRECT = (_spread, _spread_by_sums)

EQUIVALENT = {
    "direction = states.mean(axis=0) - states[labels == 0].mean(axis=0)": "a shorter vector of the "
    "same direction: the order of the scores is the same",
    "direction = states[labels == 1].mean(axis=0) - states.mean(axis=0)": "likewise",
}
