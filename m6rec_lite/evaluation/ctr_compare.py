"""Is one click model's AUC higher than another's by more than luck?

AUC is no mean over users, so the tests of ``significance`` do not apply to it. The bootstrap does:
draw the users again, with replacement, each with all of their rows, and take both models' AUC on
the same draw. Rows must not be drawn one by one: those of a user, and of a slate, go together, and
treating them as independent gives intervals that are too short (Owen, *The pigeonhole bootstrap*,
2007).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.evaluation.ctr import auc
from m6rec_lite.evaluation.significance import PairedTest


def weighted_auc(clicked: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC where each row counts as often as its weight says, for many weightings at once.

    Args:
        clicked: ``(n,)`` 0/1.
        score: ``(n,)``; ties count one half.
        weights: ``(m, n)``, at least 0.

    Returns:
        ``(m,)``; NaN where one class has no weight.
    """
    clicked = np.asarray(clicked, dtype=bool)
    _, level = np.unique(score, return_inverse=True)  # equal scores share a level
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    at = np.asarray(weights, dtype=np.float64)[:, order]  # (m, n), lowest scores first
    clicks = np.add.reduceat(at * clicked[order], starts, axis=1)  # (m, n_levels)
    others = np.add.reduceat(at * ~clicked[order], starts, axis=1)
    below = np.cumsum(others, axis=1) - 0.5 * others
    pairs = clicks.sum(axis=1) * others.sum(axis=1)
    won = (clicks * below).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(at), np.nan), where=pairs > 0)


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
    """The difference in AUC of two models, with a bootstrap interval over users.

    Args:
        clicked: ``(n,)`` 0/1.
        first: ``(n,)`` scores of the first model.
        second: ``(n,)`` of the second, same rows.
        group: ``(n,)`` whom each row belongs to; those are drawn.
        level: coverage of the percentile interval.
        n_resamples: draws.
        seed: of the draws.
        what: a label for printing.

    Returns:
        first minus second. The p value is the share of draws, centred at no difference, that lie
        as far out as what was found.

    Raises:
        ValueError: on unlike lengths, a class that is missing, fewer than two groups, or a setting
            out of range.
    """
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(
            f"level must lie between 0 and 1 and n_resamples be at least 1; got {level} and "
            f"{n_resamples}"
        )
    if np.shape(group) != np.shape(clicked):
        raise ValueError(f"one group a row is wanted, {np.shape(clicked)}; got {np.shape(group)}")
    found = auc(clicked, first) - auc(clicked, second)  # checks labels and scores
    codes, names = pd.factorize(np.asarray(group))
    n = len(names)
    if np.isnan(found) or n < 2:
        raise ValueError(
            f"a comparison needs rows of both labels, of two users at least; got {n} users and "
            f"{int(np.sum(clicked))} of {len(codes)} rows clicked"
        )
    rng = np.random.default_rng(seed)
    differences = []
    size = max(1, 2_000_000 // len(codes))  # draws at a time: some 16 MB of weights
    for start in range(0, n_resamples, size):
        m = min(size, n_resamples - start)
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=m)  # (m, n) how often each was drawn
        weights = drawn[:, codes]
        pair = [weighted_auc(clicked, score, weights) for score in (first, second)]
        differences.append(pair[0] - pair[1])
    draws = np.concatenate(differences)
    draws = draws[~np.isnan(draws)]
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    beyond = np.count_nonzero(np.abs(draws - found) >= abs(found) * (1 - 1e-12))
    p_value = (beyond + 1) / (len(draws) + 1)
    return PairedTest(found, low, high, p_value, found, "bootstrap", n, level, what)
