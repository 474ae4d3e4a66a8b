"""The causal effect of showing an item: on the log, on randomised slates, and in truth.

A *cell* is a pair of a slate and an item: the item was shown, or it was not. The effect of showing
is the mean outcome if every item were shown on every slate, less the mean outcome if none were. The
difference of the two observed means is not that effect where the page shows items that their
shoppers want anyway. Weights ``1 / P(what happened)`` correct this where the page is random and its
probabilities are known (inverse propensity weighting: Horvitz and Thompson, 1952; the weights are
normalised as by Hajek, 1971).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from m6rec_lite.data.bazaar.exposure import SLATE_SIZE, FrontPage, moments
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.evaluation.significance import bootstrap_means


@dataclass(frozen=True, eq=False)
class Exposures:
    """``n`` slates and what happened at each, for all ``m`` items of the world.

    Attributes:
        user_ids: ``(n,)``.
        at: ``(n,)`` unix seconds.
        shown: ``(n, m)`` bool.
        weights: ``(n, m)`` inverse probability weights: ``1 / SLATE_SIZE`` over the probability of
            the item at its position if it was shown, so that all positions count alike, and 1 over
            the probability of its absence otherwise; 0 for items that could not be shown.
        clicked: ``(n, m)`` bool: clicked on the page. Never without being shown.
        taken: ``(n, m)`` bool: the shopper's next event off the page, which follows within a
            minute, is with this item.
        effect: ``(n, m)`` true effect of showing at a random position on the click. On ``taken`` it
            is 0: in this world slates do not change what a shopper does next.
    """

    user_ids: np.ndarray
    at: np.ndarray
    shown: np.ndarray
    weights: np.ndarray
    clicked: np.ndarray
    taken: np.ndarray
    effect: np.ndarray


class Effect(NamedTuple):
    """An estimate of a mean effect, with a 95 % bootstrap interval over users."""

    value: float
    low: float
    high: float


def logged_slates(dataset: Dataset, n: int, *, seed: int = 0) -> Exposures:
    """Return ``n`` slates of the log, drawn at random.

    Raises:
        DataError: if the data set has no oracle or no impressions.
    """
    oracle = _oracle(dataset)
    if dataset.impressions is None:
        raise DataError(f"{dataset.name} has no impressions; use random_slates(dataset, n)")
    rows = dataset.impressions.sort_values(["slate_id", "position"], kind="stable")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows) // SLATE_SIZE)[:n])
    names = ("user_id", "timestamp", "item_id", "clicked")
    users, at, items, clicks = (
        rows[name].to_numpy().reshape(-1, SLATE_SIZE)[chosen] for name in names
    )
    return _exposures(oracle, FrontPage(oracle), users[:, 0], at[:, 0], items, clicks)


def random_slates(dataset: Dataset, n: int, *, seed: int = 0) -> Exposures:
    """Show ``n`` randomised slates, and draw the clicks: an experiment.

    Each page shows one item of each shelf (half of a domain), all with equal probability, in an
    order that is rotated at random. What a shopper wants has no influence on it.
    """
    oracle, rng = _oracle(dataset), np.random.default_rng(seed)
    page = FrontPage(oracle, settled=1 / SLATE_SIZE, tilt=0.0, near=1.0)
    users, at = moments(oracle.trail, n, rng)
    slates = page.show(users, at, rng)
    return _exposures(
        oracle, page, users, at, slates, oracle.respond(users, slates, at, rng).clicked
    )


def average_effect(
    outcome: np.ndarray,
    shown: np.ndarray,
    user_ids: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    seed: int = 0,
) -> Effect:
    """Return the mean outcome of shown cells less that of cells that were not shown.

    Args:
        outcome: ``(n, m)`` numbers or bool.
        shown: ``(n, m)`` bool.
        user_ids: ``(n,)`` user of each row; rows of one user are drawn together by the bootstrap.
        weights: ``(n, m)`` weights of cells, such as ``Exposures.weights``; None weighs all alike.
        seed: of the bootstrap.

    Raises:
        ValueError: if nothing was shown, or everything; if a weight is negative, NaN or infinite,
            as of a propensity of 0.
    """
    outcome, shown = np.asarray(outcome, dtype=np.float64), np.asarray(shown, dtype=bool)
    weights = np.ones(shown.shape) if weights is None else np.asarray(weights)
    if not (outcome.shape == shown.shape == weights.shape):
        raise ValueError(f"shapes differ: {outcome.shape}, {shown.shape}, {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(
            "a weight is negative, NaN or infinite. A propensity of 0 or 1 means that the page "
            "never, or always, shows the item: such a cell has no counterpart; give it weight 0"
        )
    sides = [weights * shown, weights * ~shown]
    if any(side.sum() == 0 for side in sides):
        raise ValueError("an effect needs cells that were shown and cells that were not; one is 0")
    sums = np.stack([s.sum(axis=1) for w in sides for s in (w * outcome, w)], axis=1)  # (n, 4)
    users = np.unique(user_ids, return_inverse=True)[1]
    by_user = np.stack([np.bincount(users, column) for column in sums.T], axis=1)
    draws = np.vstack([by_user.mean(axis=0), bootstrap_means(by_user, seed=seed)])
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw may lack one of the sides
        values = draws[:, 0] / draws[:, 1] - draws[:, 2] / draws[:, 3]
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return Effect(float(values[0]), float(low), float(high))


def _oracle(dataset: Dataset) -> Oracle:
    if not isinstance(dataset.oracle, Oracle):
        raise DataError(f"{dataset.name} has no oracle, so its true effects are not known")
    return dataset.oracle


def _exposures(
    oracle: Oracle,
    page: FrontPage,
    users: np.ndarray,
    at: np.ndarray,
    slates: np.ndarray,
    clicks: np.ndarray,
) -> Exposures:
    """Return the cells of slates ``(n, SLATE_SIZE)`` that a page of known propensities showed."""
    index, every = (
        slates - FIRST_ITEM,
        np.broadcast_to(oracle.item_ids, (len(at), len(oracle.item_ids))),
    )
    shown, clicked = (np.zeros(every.shape, dtype=bool) for _ in range(2))
    np.put_along_axis(shown, index, True, axis=1)
    np.put_along_axis(clicked, index, clicks, axis=1)
    present = page.choices(users, at)
    possible = (present > 0) & (present < 1)
    weights = np.where(possible, 1 / np.where(possible, 1 - present, 1.0), 0.0)
    at_position = 1 / SLATE_SIZE / page.propensities(users, at, slates)
    np.put_along_axis(weights, index, at_position, axis=1)
    weights[~possible] = 0.0
    trail = oracle.trail
    key = trail.shopper.astype(np.int64) * (1 << 40) + trail.at
    following = trail.item[np.searchsorted(key, (users - 1) * (1 << 40) + at)]
    taken = np.arange(every.shape[1]) == following[:, None]
    seen = oracle.examination(np.arange(SLATE_SIZE)).mean()
    effect = oracle.click_probability(users, every, at) * seen
    return Exposures(users, at, shown, weights, clicked, taken, effect)
