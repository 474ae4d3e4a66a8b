"""Alarms on a daily value: the cumulative sum (CUSUM) of deviations from its usual mean.

A single high day is often noise; several days above the mean add up. Page, *Continuous inspection
schemes*, 1954.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class AlarmRates:
    """What an alarm does in series of days; see ``judge_alarm``.

    Attributes:
        threshold: the sum above which it rings.
        false_alarms: share of quiet series in which it rings.
        missed: share of series after a shock in which it does not ring.
        delay: mean number of days until it rings after a shock, 1 for the first day; NaN if never.
    """

    threshold: float
    false_alarms: float
    missed: float
    delay: float


def judge_alarm(
    quiet: np.ndarray,
    other: np.ndarray,
    struck: np.ndarray,
    *,
    share: float = 0.05,
    n_series: int = 4000,
    n_days: int = 60,
    seed: int = 0,
) -> AlarmRates:
    """Set a threshold on quiet days, and judge it on other quiet days and on days after a shock.

    Mean, deviation and threshold come from ``quiet`` alone. Each series is drawn from the days of a
    stream with replacement, so the days must be independent of each other.

    Args:
        quiet: ``(n,)`` values of usual days, to learn from.
        other: ``(m,)`` values of other usual days.
        struck: ``(l,)`` values of days after a shock.
        share: of quiet series with a false alarm, for which the threshold is set.
        n_series: number of series of each kind.
        n_days: their length.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    mean, deviation = float(np.mean(quiet)), float(np.std(quiet))
    sums = [
        cusum(rng.choice(days, (n_series, n_days)), mean=mean, deviation=deviation)
        for days in (quiet, other, struck)
    ]
    threshold = alarm_threshold(sums[0], share)
    false, true = (first_alarm(part, threshold) for part in sums[1:])
    rang = true[true >= 0] + 1
    delay = float(rang.mean()) if len(rang) else float("nan")
    return AlarmRates(threshold, float((false >= 0).mean()), float((true < 0).mean()), delay)
