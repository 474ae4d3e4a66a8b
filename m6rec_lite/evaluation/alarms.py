"""Alarms on a daily value: the cumulative sum (CUSUM) of deviations from its usual mean.

A single high day is often noise; several days above the mean add up. Page, *Continuous inspection
schemes*, 1954.
"""

from __future__ import annotations

import numpy as np


def cusum(
    values: np.ndarray, *, mean: float, deviation: float, allowance: float = 0.5
) -> np.ndarray:
    """Return the cumulative sums of values above their usual mean.

    ``S_t = max(0, S_{t-1} + (x_t - mean) / deviation - allowance)``, with ``S_{-1} = 0``: a rise of
    twice the allowance, in standard deviations, is found fastest.

    Args:
        values: ``(..., n_days)``; each row is a series of its own.
        mean: mean of the value on usual days.
        deviation: its standard deviation on usual days, above 0.
        allowance: deviations above the mean that a day may have at no cost.

    Returns:
        ``(..., n_days)`` sums, at least 0.

    Raises:
        ValueError: if the deviation is not above 0, or a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not deviation > 0:
        raise ValueError(f"deviation must be above 0, that of usual days; got {deviation!r}")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite: fill in or leave out the days without a value")
    steps = (values - mean) / deviation - allowance
    sums = np.zeros_like(steps)
    total = np.zeros(steps.shape[:-1])
    for day in range(steps.shape[-1]):
        total = np.maximum(0.0, total + steps[..., day])
        sums[..., day] = total
    return sums


def first_alarm(sums: np.ndarray, threshold: float) -> np.ndarray:
    """Return the first day of each series on which the sum is above a threshold.

    Args:
        sums: ``(..., n_days)``, as from ``cusum``.
        threshold: the largest sum without an alarm.

    Returns:
        ``(...)`` int64 index of the day; -1 where there is no alarm.
    """
    over = np.asarray(sums) > threshold
    return np.where(over.any(axis=-1), over.argmax(axis=-1), -1)


def alarm_threshold(quiet: np.ndarray, share: float) -> float:
    """Return the lowest threshold at which at most a share of quiet series has an alarm.

    Judge the rate of false alarms on *other* quiet series than these.

    Args:
        quiet: ``(n_series, n_days)`` sums of series in which nothing happens.
        share: of series with a false alarm, between 0 and 1.

    Raises:
        ValueError: if the share is out of range, or there are too few series to tell.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, such as 0.05; got {share!r}")
    highest = np.sort(np.asarray(quiet, dtype=np.float64).max(axis=1))
    allowed = int(share * len(highest))
    if not allowed:
        raise ValueError(
            f"{len(highest)} quiet series cannot show a share of {share}: give at least "
            f"{int(np.ceil(1 / share))}"
        )
    return float(highest[-allowed - 1])
