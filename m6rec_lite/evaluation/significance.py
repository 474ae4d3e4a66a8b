"""Bootstrap intervals, and paired tests between two models.

Users are the sample: another sample of users would give another mean. The bootstrap draws users
with replacement (Efron, 1979). Two models evaluated on the same users are compared by their
differences per user, which removes the variance due to easy and hard users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Method = Literal["t", "wilcoxon", "bootstrap"]


def bootstrap_means(values: np.ndarray, *, n_resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Return means of the columns over users drawn with replacement.

    NaN (a user without that value) is left out of a mean. All columns share the draws, so that
    differences between columns are paired.

    Args:
        values: ``(n_users, m)`` float.
        n_resamples: number of draws of ``n_users`` users.
        seed: seed of the draws.

    Returns:
        ``(n_resamples, m)``; NaN if a draw contains no value.
    """
    values = np.asarray(values, dtype=np.float64)
    n, m = values.shape
    rng = np.random.default_rng(seed)
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    complete = present.all()
    means = np.full((n_resamples, m), np.nan)
    block = max(1, 4_000_000 // max(n, 1))  # counts of at most 32 MB at a time
    for start in range(0, n_resamples if n else 0, block):
        size = min(block, n_resamples - start)
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        weight = np.full((size, m), float(n)) if complete else counts @ present
        np.divide(counts @ filled, weight, out=means[start : start + size], where=weight > 0)
    return means


def bootstrap_interval(
    values: np.ndarray, *, level: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of the mean over users.

    Args:
        values: ``(n_users,)`` or ``(n_users, m)``; NaN for a user without the value.
        level: coverage in (0, 1).
        n_resamples: number of bootstrap draws, at least 1.
        seed: seed of the draws.

    Returns:
        Lower and upper ends, each of shape ``()`` or ``(m,)``; NaN if there is no value.

    Raises:
        ValueError: if the level is outside (0, 1) or there is no draw.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, such as 0.95; got {level}")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, such as 1000; got {n_resamples}")
    values = np.asarray(values, dtype=np.float64)
    table = values[:, None] if values.ndim == 1 else values
    means = bootstrap_means(table, n_resamples=n_resamples, seed=seed)
    empty = np.isnan(means).all(axis=0)
    ends = np.full((2, table.shape[1]), np.nan)
    tail = (1 - level) / 2
    if not empty.all():
        ends[:, ~empty] = np.nanquantile(means[:, ~empty], [tail, 1 - tail], axis=0)
    low, high = ends if values.ndim > 1 else ends[:, 0]
    return low, high


@dataclass(frozen=True)
class PairedTest:
    """Result of a paired comparison of two models.

    Attributes:
        mean_difference: mean over users of first minus second.
        low: lower end of the interval of the mean difference.
        high: upper end of the interval.
        p_value: two-sided, for the null hypothesis of no difference.
        statistic: t, W, or the mean difference for the bootstrap.
        method: ``t``, ``wilcoxon`` or ``bootstrap``.
        n: number of users compared.
        level: coverage of the interval.
        what: label of the comparison, such as ``ndcg@10: Bigram - Popularity``.
    """

    mean_difference: float
    low: float
    high: float
    p_value: float
    statistic: float
    method: str
    n: int
    level: float = 0.95
    what: str = ""

    def __str__(self) -> str:
        head = f"{self.what}: " if self.what else ""
        p = "p < 0.0001" if self.p_value < 1e-4 else f"p = {self.p_value:.4f}"
        return (
            f"{head}{self.mean_difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}], "
            f"{p} ({self.method}, {self.n} users)"
        )


def paired_test(
    first: np.ndarray,
    second: np.ndarray,
    *,
    method: Method = "t",
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    what: str = "",
) -> PairedTest:
    """Test whether the means of two models differ, paired by user.

    ``t``: Student's paired t test, with its interval. ``wilcoxon``: the signed-rank test of the
    median of the differences, with a bootstrap interval of the mean. ``bootstrap``: draws of the
    differences; the p-value is the share of draws, centred at no difference, that are at least as
    extreme as the observed mean (never below 1 / (n_resamples + 1)).

    Args:
        first: ``(n_users,)`` values of the first model.
        second: ``(n_users,)`` values of the second model, same users, same order.
        method: ``t``, ``wilcoxon`` or ``bootstrap``.
        level: coverage of the interval.
        n_resamples: number of bootstrap draws.
        seed: seed of the draws.
        what: a label for printing.

    Raises:
        ValueError: if lengths differ, the method is unknown, or fewer than two users have both
            values.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"paired values must be two arrays (n_users,) of the same users; got shapes "
            f"{first.shape} and {second.shape}"
        )
    difference = (first - second)[~(np.isnan(first) | np.isnan(second))]
    n = len(difference)
    if n < 2:
        raise ValueError(f"a paired test needs at least two users with both values; got {n}")
    mean = float(difference.mean())
    all_zero = not difference.any()
    low: float | np.ndarray
    high: float | np.ndarray
    if method == "t":
        if np.ptp(difference) == 0:  # no variance: the t statistic is 0 / 0 or infinite
            low = high = mean
            statistic, p_value = (0.0, 1.0) if all_zero else (float(np.copysign(np.inf, mean)), 0.0)
        else:
            result = stats.ttest_1samp(difference, 0.0)
            low, high = result.confidence_interval(level)
            statistic, p_value = result.statistic, result.pvalue
    elif method == "wilcoxon":
        low, high = bootstrap_interval(difference, level=level, n_resamples=n_resamples, seed=seed)
        result = None if all_zero else stats.wilcoxon(difference)
        statistic, p_value = (0.0, 1.0) if result is None else (result.statistic, result.pvalue)
    elif method == "bootstrap":
        low, high = bootstrap_interval(difference, level=level, n_resamples=n_resamples, seed=seed)
        means = bootstrap_means(difference[:, None], n_resamples=n_resamples, seed=seed)[:, 0]
        beyond = np.count_nonzero(np.abs(means - mean) >= abs(mean) * (1 - 1e-12))
        statistic, p_value = mean, (beyond + 1) / (n_resamples + 1)
    else:
        raise ValueError(f"method must be 't', 'wilcoxon' or 'bootstrap'; got {method!r}")
    return PairedTest(
        mean, float(low), float(high), float(p_value), float(statistic), method, n, level, what
    )
