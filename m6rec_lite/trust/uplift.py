"""The causal effect of showing an item: on the log, on randomised slates, and in truth.

A *cell* is a pair of a slate and an item: shown, or not. The effect of showing is the mean outcome
if every item were shown on every slate, less the mean if none were. The difference of the observed
means is another number where a page shows items that its shoppers want anyway. If the page is
random with known probabilities, weights ``1 / P(what happened)`` correct this (Horvitz and
Thompson, 1952; normalised as by Hajek, 1971).
"""

from __future__ import annotations

from dataclasses import dataclass

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
        weights: ``(n, m)`` 1 over the probability of what happened: of being shown if the item was
            shown, else of not being shown; 0 for items that could not be shown.
        clicked: ``(n, m)`` bool: clicked on the page. Never without being shown.
        taken: ``(n, m)`` bool: the shopper's next event, off the page, is with this item.
        effect: ``(n, m)`` true effect on the click, at this page's positions; that on ``taken`` is
            0, since slates do not change what shoppers do next.
    """

    user_ids: np.ndarray
    at: np.ndarray
    shown: np.ndarray
    weights: np.ndarray
    clicked: np.ndarray
    taken: np.ndarray
    effect: np.ndarray


def logged_slates(dataset: Dataset, n: int, *, seed: int = 0) -> Exposures:
    """Return ``n`` slates of the log, drawn at random.

    The data set needs an oracle and impressions.
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


def random_slates(dataset: Dataset, n: int, *, uniform: bool = True, seed: int = 0) -> Exposures:
    """Show ``n`` new slates to shoppers of the world, and draw their clicks.

    Args:
        dataset: with an oracle.
        n: number of slates.
        uniform: show one item of each shelf, all with equal probability, rotated at random: an
            experiment. Otherwise draw as the front page of the log does: a further log.
        seed: of the slates and of the clicks.
    """
    oracle, rng = _oracle(dataset), np.random.default_rng(seed)
    dials = {"settled": 1 / SLATE_SIZE, "tilt": 0.0, "near": 1.0} if uniform else {}
    page = FrontPage(oracle, **dials)
    users, at = moments(oracle.trail, n, rng)
    slates = page.show(users, at, rng)
    clicked = oracle.respond(users, slates, at, rng).clicked
    return _exposures(oracle, page, users, at, slates, clicked)


def average_effect(
    outcome: np.ndarray,
    shown: np.ndarray,
    user_ids: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the mean outcome of shown cells less that of cells that were not shown.

    Args:
        outcome: ``(n, m)`` numbers or bool.
        shown: ``(n, m)`` bool.
        user_ids: ``(n,)`` user of each row; rows of one user are drawn together by the bootstrap.
        weights: ``(n, m)`` weights of cells, such as ``Exposures.weights``; None weighs all alike.
        seed: of the bootstrap.

    Returns:
        The effect, and the ends of its 95 % bootstrap interval over users.

    Raises:
        ValueError: if nothing was shown, or everything; if a weight is negative or not finite.
    """
    outcome, shown = np.asarray(outcome, dtype=np.float64), np.asarray(shown, dtype=bool)
    weights = np.ones(shown.shape) if weights is None else np.asarray(weights)
    if not (outcome.shape == shown.shape == weights.shape):
        raise ValueError(f"shapes differ: {outcome.shape}, {shown.shape}, {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(
            "a weight is negative, NaN or infinite. With a propensity of 0 or 1 a cell has no "
            "counterpart: give it weight 0"
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
    return float(values[0]), float(low), float(high)


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
    index = slates - FIRST_ITEM
    every = np.broadcast_to(oracle.item_ids, (len(at), len(oracle.item_ids)))
    shown, clicked = (np.zeros(every.shape, dtype=bool) for _ in range(2))
    np.put_along_axis(shown, index, True, axis=1)
    np.put_along_axis(clicked, index, clicks, axis=1)
    present = page.choices(users, at)
    happened = np.where(shown, present, 1 - present)
    weights = np.where((present > 0) & (present < 1), 1 / np.where(happened > 0, happened, 1), 0.0)
    trail, step = oracle.trail, 1 << 40  # unix seconds fit in 40 bits
    key = trail.shopper.astype(np.int64) * step + trail.at
    following = trail.item[np.searchsorted(key, (users - 1) * step + at)]
    taken = np.arange(every.shape[1]) == following[:, None]
    last, positions = oracle.last_item(users, at), np.arange(SLATE_SIZE)
    domain = np.where(last >= 0, oracle.world.items.domain[last], 0)  # its shelves come first
    settled = (page.shelf - 2 * domain[:, None]) % SLATE_SIZE
    turns = (positions[:, None] - positions) % SLATE_SIZE  # (settled, position)
    examined = page.rotation_probs[turns] @ oracle.examination(positions)
    effect = oracle.click_probability(users, every, at) * examined[settled]
    return Exposures(users, at, shown, weights, clicked, taken, effect)
