"""Right answers to ``false_alarm_share``, written in other ways."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import stats

from m6rec_lite.course.exercises.false_alarm_share import _share


def _by_loops(values: np.ndarray, critical: float) -> float:
    alarms = []
    for run in values:
        found = False
        for a, b in itertools.combinations(run, 2):
            difference = a - b
            error = difference.std(ddof=1) / np.sqrt(len(difference))
            found |= abs(difference.mean()) > critical * error
        alarms.append(found)
    return float(np.mean(alarms))


def _by_scipy(values: np.ndarray, critical: float) -> float:
    pairs = itertools.combinations(range(values.shape[1]), 2)
    tests = [stats.ttest_rel(values[:, a], values[:, b], axis=1).statistic for a, b in pairs]
    return float((np.abs(tests) > critical).any(axis=0).mean())


CORRECT = (_share, _by_loops, _by_scipy)

EQUIVALENT = {
    "difference = values[:, b] - values[:, a]": "the absolute value is compared",
    "alarms |= np.abs(difference.mean(axis=1)) >= critical * error": "no value is on the bound",
}
