"""Right answers to ``alarm_days``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.alarm_days import _alarm_days
from m6rec_lite.evaluation import cusum, first_alarm


def _by_package(
    values: np.ndarray, mean: float, deviation: float, allowance: float, threshold: float
) -> list[int]:
    days: list[int] = []
    begin = 0
    while begin < len(values):
        sums = cusum(values[begin:], mean=mean, deviation=deviation, allowance=allowance)
        day = int(first_alarm(sums, threshold))
        if day < 0:
            break
        days.append(begin + day)
        begin += day + 1
    return days


def _by_while(
    values: np.ndarray, mean: float, deviation: float, allowance: float, threshold: float
) -> np.ndarray:
    steps = (np.asarray(values) - mean) / deviation - allowance
    rings, total = np.zeros(len(steps), dtype=bool), 0.0
    for day, step in enumerate(steps):
        total = total + step if total + step > 0 else 0.0
        rings[day] = total > threshold
        total *= not rings[day]
    return np.flatnonzero(rings)


CORRECT = (_alarm_days, _by_package, _by_while)

EQUIVALENT: dict[str, str] = {}
