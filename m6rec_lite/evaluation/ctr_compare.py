"""Test whether the AUCs of two click models differ.

AUC is not a mean over users, so the tests of ``significance`` do not apply. The bootstrap applies:
draw users with replacement, each with all rows, and compute the AUC of both models on the same
draw. Drawing single rows would treat the rows of a user as independent and give intervals that are
too short (Owen, *The pigeonhole bootstrap*, 2007).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.evaluation.ctr import auc
from m6rec_lite.evaluation.significance import PairedTest


def weighted_auc(clicked: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute weighted AUC for several weight vectors at once.

    Args:
        clicked: ``(n,)`` 0/1.
        score: ``(n,)``; ties count one half.
        weights: ``(m, n)``, at least 0.

    Returns:
        ``(m,)``; NaN if one class has no weight.
    """
    clicked = np.asarray(clicked, dtype=bool)
    _, level = np.unique(score, return_inverse=True)  # equal scores share a level
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    ordered = np.asarray(weights, dtype=np.float64)[:, order]  # (m, n), lowest scores first
    clicks = np.add.reduceat(ordered * clicked[order], starts, axis=1)  # (m, n_levels)
    others = np.add.reduceat(ordered * ~clicked[order], starts, axis=1)
    below = np.cumsum(others, axis=1) - 0.5 * others
    pairs = clicks.sum(axis=1) * others.sum(axis=1)
    correct = (clicks * below).sum(axis=1)
    return np.divide(correct, pairs, out=np.full(len(ordered), np.nan), where=pairs > 0)


def compare_auc(
    clicked: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    group: np.ndarray,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    what: str = "auc",
) -> PairedTest:
    """Return the difference in AUC of two models with a bootstrap interval over users.

    Args:
        clicked: ``(n,)`` 0/1.
        first: ``(n,)`` scores of the first model.
        second: ``(n,)`` scores of the second model for the same rows.
        group: ``(n,)`` group of each row, such as its user; groups are drawn.
        level: coverage of the percentile interval.
        n_resamples: number of draws.
        seed: seed of the draws.
        what: a label for printing.

    Returns:
        First minus second. The p-value is the share of draws, centred at no difference, that are
        at least as extreme as the observed difference.

    Raises:
        ValueError: if lengths differ, a class is missing, there are fewer than two groups, or a
            setting is out of range.
    """
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(
            f"level must lie between 0 and 1 and n_resamples be at least 1; got {level} and "
            f"{n_resamples}"
        )
    if np.shape(group) != np.shape(clicked):
        raise ValueError(f"one group per row is needed, {np.shape(clicked)}; got {np.shape(group)}")
    observed = auc(clicked, first) - auc(clicked, second)  # checks labels and scores
    codes, names = pd.factorize(np.asarray(group))
    n = len(names)
    if np.isnan(observed) or n < 2:
        raise ValueError(
            f"a comparison needs rows of both labels, of two users at least; got {n} users and "
            f"{int(np.sum(clicked))} of {len(codes)} rows clicked"
        )
    rng = np.random.default_rng(seed)
    differences = []
    size = max(1, 2_000_000 // len(codes))  # draws per block: about 16 MB of weights
    for start in range(0, n_resamples, size):
        m = min(size, n_resamples - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=m)  # (m, n) times each was drawn
        weights = counts[:, codes]
        pair = [weighted_auc(clicked, score, weights) for score in (first, second)]
        differences.append(pair[0] - pair[1])
    draws = np.concatenate(differences)
    draws = draws[~np.isnan(draws)]
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    beyond = np.count_nonzero(np.abs(draws - observed) >= abs(observed) * (1 - 1e-12))
    p_value = (beyond + 1) / (len(draws) + 1)
    return PairedTest(observed, low, high, p_value, observed, "bootstrap", n, level, what)
