"""Off-policy evaluation: estimate the reward of a policy from the log of another policy.

The log has ``n`` slates of ``k`` positions. Each logged item has a reward ``r`` and a propensity
``p``, the probability that the logging policy showed this item at this position. The target policy
shows it there with probability ``q``, and ``w = q / p`` is its weight:

    IPS               sum over positions of   mean of w r
    clipped           IPS with min(w, most): less variance, and a bias
    self-normalised   sum over positions of   (sum of w r) / (sum of w)
    doubly robust     sum over positions of   mean of E_q[m] + w (r - m), from a model m of r

IPS is unbiased if the propensities are right, and above 0 for all that the target policy shows, and
if a reward depends only on the user, the item and the position. Doubly robust is unbiased if the
propensities *or* the model are right. With ``k = 1`` this is the contextual bandit.

Sources: Horvitz and Thompson, 1952; Li et al., *Offline evaluation of ranking policies with click
models*, 2018 (item-position model); Swaminathan and Joachims, *The self-normalized estimator for
counterfactual learning*, 2015; Dudík, Langford and Li, *Doubly robust policy evaluation and
learning*, 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError


@dataclass(frozen=True, eq=False)
class SlateLog:
    """Logged slates: what was shown, with which probability, and what it earned.

    Attributes:
        user_ids: ``(n,)`` one user a slate.
        at: ``(n,)`` int64 unix seconds.
        items: ``(n, k)`` item ids, top position first.
        rewards: ``(n, k)`` float64, such as clicks (0 or 1).
        propensities: ``(n, k)`` float64 in (0, 1].

    Raises:
        DataError: if there is no slate or no position, shapes differ, a reward is not finite, or a
            propensity is not in (0, 1].
    """

    user_ids: np.ndarray
    at: np.ndarray
    items: np.ndarray
    rewards: np.ndarray
    propensities: np.ndarray

    def __post_init__(self) -> None:
        shapes = [np.shape(each) for each in (self.items, self.rewards, self.propensities)]
        if len(shapes[0]) != 2 or 0 in shapes[0] or len(set(shapes)) > 1:
            raise DataError(
                "the log needs items, rewards and propensities of one shape (n, k), at least one "
                f"slate of at least one item; got {shapes}. Leave empty slates out"
            )
        if unknown := np.count_nonzero(~np.isfinite(self.rewards)):
            raise DataError(
                f"{unknown} rewards are not finite: leave slates without an observed reward out, "
                "or say why it is 0"
            )
        if wrong := np.count_nonzero(~((self.propensities > 0) & (self.propensities <= 1))):
            raise DataError(
                f"{wrong} propensities are not in (0, 1]: what was shown had a probability above "
                "0, so it must be logged when the slate is drawn"
            )

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def from_impressions(cls, impressions: pd.DataFrame, *, reward: str = "clicked") -> Self:
        """Build from a table of impressions, with one row for each item shown.

        Args:
            impressions: columns ``slate_id user_id item_id timestamp position propensity`` and the
                reward; every slate has the positions 0 to k - 1.
            reward: column of the reward, such as ``clicked`` or ``purchased``.

        Raises:
            DataError: if a column is missing, or slates have different positions.
        """
        needed = ["slate_id", "user_id", "item_id", "timestamp", "position", "propensity", reward]
        if missing := [name for name in needed if name not in impressions]:
            raise DataError(f"the impressions lack {missing}; they have {list(impressions)}")
        table = impressions.sort_values(["slate_id", "position"], kind="stable")
        n = table["slate_id"].nunique()
        k = len(table) // max(n, 1)
        if not n or not np.array_equal(table["position"], np.tile(np.arange(k), n)):
            raise DataError(
                f"{len(table)} rows in {n} slates do not have the positions 0 to k - 1 each: leave "
                "empty slates out, and give all slates of a log one length"
            )
        columns = {name: table[name].to_numpy().reshape(n, k) for name in needed}
        return cls(
            columns["user_id"][:, 0],
            columns["timestamp"][:, 0],
            columns["item_id"],
            columns[reward].astype(np.float64),
            columns["propensity"].astype(np.float64),
        )


@dataclass(frozen=True, eq=False)
class Estimate:
    """An estimated reward a slate.

    Attributes:
        value: the estimate.
        per_slate: ``(n,)`` terms whose mean is the value; those of two policies on one log can be
            compared by a paired test.
        mean_weight: mean of w; 1 in expectation if the propensities are right.
        n_effective: effective number of slates, (sum of w)^2 / sum of w^2, of the mean position.
    """

    value: float
    per_slate: np.ndarray
    mean_weight: float
    n_effective: float

    @classmethod
    def of(cls, per_slate: np.ndarray, weights: np.ndarray) -> Self:
        """Build from the ``(n,)`` terms and the ``(n, k)`` weights."""
        squares = np.maximum((weights**2).sum(axis=0), 1e-300)
        effective = weights.sum(axis=0) ** 2 / squares
        return cls(float(per_slate.mean()), per_slate, float(weights.mean()), effective.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the value; too small where a few large weights decide.

        Slates are taken as independent; positions of a slate are not.
        """
        return float(self.per_slate.std(ddof=1) / np.sqrt(len(self.per_slate)))


def list_probabilities(log: SlateLog, lists: np.ndarray) -> np.ndarray:
    """Return q of a policy that always shows given lists: 1 where the log shows the same item.

    Args:
        log: ``n`` slates.
        lists: ``(n, k)`` item ids, what the policy shows in place of each slate.

    Raises:
        DataError: if shapes differ, or the log never showed an item of the lists.
    """
    lists = np.asarray(lists)
    if lists.shape != log.items.shape:
        raise DataError(f"the lists have shape {lists.shape}, the log's slates {log.items.shape}")
    if len(unknown := np.setdiff1d(lists, log.items)):
        raise DataError(
            f"the log never showed {len(unknown)} items of the lists, first {unknown[:5].tolist()}:"
            " it does not say what they earn; leave them out of the lists"
        )
    return (lists == log.items).astype(np.float64)


def ips(log: SlateLog, target: np.ndarray, *, most: float = np.inf) -> Estimate:
    """Estimate by inverse propensity scoring; clipped if ``most`` is finite.

    Args:
        log: ``n`` slates of ``k`` positions.
        target: ``(n, k)`` probability q that the target policy shows the logged item there.
        most: largest weight.

    Raises:
        DataError: if ``target`` has another shape than the log or is not in [0, 1].
        ValueError: if ``most`` is not above 0.
    """
    weights = _weights(log, target, most)
    return Estimate.of((weights * log.rewards).sum(axis=1), weights)


def self_normalised(log: SlateLog, target: np.ndarray) -> Estimate:
    """Estimate with weights scaled to a mean of 1 at each position.

    Propensities that are all wrong by one factor do no harm. ``per_slate`` is linearised.

    Raises:
        DataError: see ``ips``; also if all weights of a position are 0.
    """
    weights = _weights(log, target, np.inf)
    total = weights.sum(axis=0)
    if not (total > 0).all():
        empty = np.flatnonzero(total == 0).tolist()
        raise DataError(f"at the positions {empty} the log shows nothing that the policy shows")
    value = (weights * log.rewards).sum(axis=0) / total  # (k,)
    terms = value + weights * (log.rewards - value) * (len(log) / total)
    return Estimate.of(terms.sum(axis=1), weights)


def doubly_robust(
    log: SlateLog,
    target: np.ndarray,
    predicted: np.ndarray,
    expected: np.ndarray,
    *,
    most: float = np.inf,
) -> Estimate:
    """Estimate by a reward model, corrected by its weighted errors on the log.

    Args:
        log: ``n`` slates of ``k`` positions.
        target: see ``ips``; zeros give the *direct* estimate, which trusts the model alone.
        predicted: ``(n, k)`` rewards that the model predicts for the logged items.
        expected: ``(n, k)`` rewards that it predicts for what the target policy shows. The model
            must be fitted on other slates.
        most: largest weight.

    Raises:
        DataError: see ``ips``; also if predictions are not finite or have another shape.
    """
    weights = _weights(log, target, most)
    for values in (predicted, expected):
        if np.shape(values) != weights.shape or not np.isfinite(values).all():
            raise DataError(
                f"predicted and expected must be finite, of shape {weights.shape}; got shape "
                f"{np.shape(values)}"
            )
    terms = expected + weights * (log.rewards - predicted)
    return Estimate.of(terms.sum(axis=1), weights)


def _weights(log: SlateLog, target: np.ndarray, most: float) -> np.ndarray:
    """Return ``(n, k)`` weights q / p, at most ``most``."""
    if not most > 0:
        raise ValueError(f"most, the largest weight, must be above 0; got {most}")
    target = np.asarray(target, dtype=np.float64)
    if target.shape != log.items.shape or not ((target >= 0) & (target <= 1)).all():
        raise DataError(
            f"target must hold probabilities from 0 to 1 of shape {log.items.shape}, without NaN; "
            f"got shape {target.shape}"
        )
    return np.minimum(target / log.propensities, most)
