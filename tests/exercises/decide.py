"""Right answers to ``decide``, written in other ways."""

from __future__ import annotations

import numpy as np
from scipy import stats

from m6rec_lite.course.exercises.decide import Arms, _decide


def _by_interval(
    log_a: np.ndarray, log_b: np.ndarray, effective: float, test: Arms | None = None
) -> str:
    if test is None:
        values = np.asarray(log_b) - np.asarray(log_a)
        middle, error = values.mean(), stats.sem(values)
        if effective < 30:
            error = np.inf
    else:
        middle = test[1].mean() - test[0].mean()
        error = np.hypot(stats.sem(test[0]), stats.sem(test[1]))
    low, high = middle - 1.96 * error, middle + 1.96 * error
    if low > 0:
        return "B"
    if high < 0:
        return "A"
    return "A" if test is not None else "test"


CORRECT = (_decide, _by_interval)

EQUIVALENT = {
    "return 'B' if gain >= 0 else 'A'": "a gain of more than 1.96 errors is not 0",
}
