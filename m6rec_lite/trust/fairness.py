"""How well groups of users are served, and how much exposure groups of items get."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.evaluation.significance import bootstrap_interval


def group_gaps(
    values: np.ndarray, groups: np.ndarray, ceiling: np.ndarray | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """Return the mean of a metric in each group of users, with its difference from the others.

    A gap alone does not say whether the model serves a group badly or the group is hard to predict.
    The share of a ceiling, such as the oracle's metric for the same users, does.

    Args:
        values: ``(n,)`` metric of each user, such as ``report.per_user["ndcg@10"]``.
        groups: ``(n,)`` label of each user.
        ceiling: ``(n,)`` metric of a reference for the same users.
        seed: of the bootstrap.

    Returns:
        One row a group: ``users``, ``mean``, ``gap`` (its mean less the mean of the other users),
        its 95 % bootstrap interval ``low`` and ``high``, and, with a ceiling, ``share`` of it.
    """
    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if values.shape != groups.shape or values.ndim != 1:
        raise ValueError(f"one group for each user: got {values.shape} and {groups.shape}")
    names = pd.unique(groups)
    if len(names) < 2:
        raise ValueError(f"a gap needs two groups or more; all users are of {names.tolist()}")
    rows = {}
    for name in sorted(names):
        inside = groups == name
        # centred parts whose sum has the variance of a difference of two independent means
        n, share = inside.sum(), inside.mean()
        mean, rest = values[inside].mean(), values[~inside].mean()
        parts = np.where(inside, (values - mean) / share, (rest - values) / (1 - share))
        low, high = bootstrap_interval(parts + mean - rest, seed=seed)
        rows[name] = {"users": n, "mean": mean, "gap": mean - rest, "low": low, "high": high}
        if ceiling is not None:
            rows[name]["share"] = mean / ceiling[inside].mean()
    return pd.DataFrame(rows).T.astype({"users": int})


def exposure(lists: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the share of all exposure that each group of items gets.

    A position ``r`` (from 1) has the exposure ``1 / log2(r + 1)``, the discount of NDCG.

    Source: Singh and Joachims, *Fairness of exposure in rankings*, 2018.

    Args:
        lists: ``(n, k)`` item indices, best first.
        groups: ``(n_items,)`` code of each item's group, from 0, such as its creator.
    """
    lists, groups = np.asarray(lists), np.asarray(groups)
    if lists.ndim != 2 or not lists.size:
        raise ValueError(f"lists have shape (n, k), with n and k at least 1; got {lists.shape}")
    weight = np.broadcast_to(1 / np.log2(np.arange(2, lists.shape[1] + 2)), lists.shape)
    total = np.bincount(groups[lists].ravel(), weight.ravel(), minlength=int(groups.max()) + 1)
    return total / total.sum()


def miscalibration(wanted: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return how far the categories of lists are from those that their users want, in nats.

    The Kullback-Leibler divergence of the lists' shares q from the wanted shares p, where q is
    replaced by .99 q + .01 p to stay above 0. It is 0 if the shares are equal.

    Source: Steck, *Calibrated recommendations*, 2018.

    Args:
        wanted: ``(…, n_categories)``, rows sum to 1, such as the shares of each history.
        shares: of the lists, ``categories[lists].mean(axis=1)``; the shapes broadcast.
    """
    smooth = 0.99 * shares + 0.01 * wanted
    terms = wanted * np.log(np.where(wanted > 0, wanted, 1.0) / np.where(smooth > 0, smooth, 1.0))
    return terms.sum(axis=-1)
