"""Impressions of a front page with ten positions, drawn by a policy of known propensities.

Each of the five domains has two shelves: the more popular half of its items, and the others. A page
shows one item of each shelf, drawn from the released items in proportion to popularity; items about
the interest of the shopper's last event have ``NEAR`` times the weight. The shelves have a cyclic
order that starts with the domain of the shopper's last event. With probability ``SETTLED`` they are
shown in this order; otherwise the order is rotated by one of the nine other steps. Each item at
each position thus has one known probability, its *propensity*:

    P(item at position) = P(rotation that puts its shelf there) * P(item | its shelf)

and no item appears twice. A logged click on (item, position), weighted by the ratio of another
policy's probability to this one's, estimates the clicks of that policy (Horvitz and Thompson, 1952;
the item-position model of Li et al., 2018, arXiv 1804.10488), because a click here depends only on
the shopper, the item and the position. The page tends to show the items that the shopper prefers at
the top, so raw click rates by position overestimate the effect of a position.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.data.bazaar.choice import draw
from m6rec_lite.data.bazaar.latents import DOMAINS
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle
from m6rec_lite.data.bazaar.simulate import Trail

SLATE_SIZE = 2 * len(DOMAINS)  #: number of positions, one for each shelf
SETTLED = 0.4  #: probability that the order of shelves is not rotated
TILT = 0.7  #: exponent of popularity within a shelf
BATCH = 2048  #: slates per batch
NEAR = 8.0  #: weight, within a shelf, of the interest of the shopper's last event


class FrontPage:
    """The logging policy of one world; with other arguments, a policy to compare it with.

    Args:
        oracle: oracle of the world.
        settled: probability that the order of shelves is not rotated.
        tilt: exponent of popularity within a shelf.
        near: weight, within a shelf, of the interest of the shopper's last event; 1: no effect.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        oracle: Oracle,
        *,
        settled: float = SETTLED,
        tilt: float = TILT,
        near: float = NEAR,
    ) -> None:
        if not 0 <= settled <= 1:
            raise ValueError(f"settled is a probability, not {settled}")
        if near <= 0:
            raise ValueError(f"near is an odds, above 0, not {near}")
        self.oracle, self.near = oracle, near
        items = oracle.world.items
        self.shelf = np.zeros(len(items.domain), dtype=np.int64)
        for domain in range(len(DOMAINS)):
            own = np.flatnonzero(items.domain == domain)
            by_popularity = own[np.argsort(-items.popularity[own], kind="stable")]
            self.shelf[own] = 2 * domain + 1
            self.shelf[by_popularity[: (len(own) + 1) // 2]] = 2 * domain
        self.weight = items.popularity.astype(float) ** tilt
        self.rotation_probs = np.full(SLATE_SIZE, (1 - settled) / (SLATE_SIZE - 1))
        self.rotation_probs[0] = settled

    def choices(self, user_ids: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return ``(n, n_items)``: the probability of each item, given its shelf."""
        items, last = self.oracle.world.items, self.oracle.last_item(user_ids, at)[:, None]
        odds = self.weight * (items.released <= np.asarray(at)[:, None])
        odds *= np.where((last >= 0) & (items.interest == items.interest[last]), self.near, 1.0)
        total = odds @ (self.shelf[:, None] == np.arange(SLATE_SIZE))
        return odds / np.where(total > 0, total, 1.0)[:, self.shelf]

    def propensities(self, user_ids: np.ndarray, at: np.ndarray, slates: np.ndarray) -> np.ndarray:
        """Return the probability that this policy shows each item of a slate at its position.

        Args:
            user_ids: ``(n,)`` ids of shoppers.
            at: ``(n,)`` unix seconds.
            slates: ``(n, k)`` item ids, top position first.

        Returns:
            ``(n, k)`` float64.
        """
        users, at, items = np.asarray(user_ids), np.asarray(at), np.asarray(slates) - FIRST_ITEM
        shelf = (self.shelf[items] - 2 * self._first_domain(users, at)[:, None]) % SLATE_SIZE
        probability = self.rotation_probs[(shelf - np.arange(items.shape[1])) % SLATE_SIZE]
        for start in range(0, len(at), BATCH):
            rows = slice(start, start + BATCH)
            choices = self.choices(users[rows], at[rows])
            probability[rows] *= np.take_along_axis(choices, items[rows], axis=1)
        return probability

    def show(self, user_ids: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a slate for each shopper: ``(n, SLATE_SIZE)`` item ids, top position first."""
        users, at = np.asarray(user_ids), np.asarray(at)
        rotation = draw(np.broadcast_to(self.rotation_probs, (len(at), SLATE_SIZE)), rng)
        first = rotation + 2 * self._first_domain(users, at)
        slates = np.empty((len(at), SLATE_SIZE), dtype=np.int64)
        for start in range(0, len(at), BATCH):
            rows = slice(start, start + BATCH)
            choices = self.choices(users[rows], at[rows])
            for position in range(SLATE_SIZE):
                shelf = (position + first[rows, None]) % SLATE_SIZE
                slates[rows, position] = draw(choices * (self.shelf == shelf), rng)
        return slates + FIRST_ITEM

    def _first_domain(self, user_ids: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the domain of each shopper's last event before ``at``; 0 if there is none."""
        item = self.oracle.last_item(user_ids, at)
        return np.where(item >= 0, self.oracle.world.items.domain[item], 0)


def moments(trail: Trail, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n`` moments, each shortly before a different organic event.

    Returns:
        User ids and unix seconds, both of shape ``(n,)``, or ``(n_events,)`` if ``n`` is larger.
    """
    rows = np.sort(rng.choice(len(trail), size=min(n, len(trail)), replace=False))
    shopper = trail.shopper[rows]
    at = trail.at[rows] - rng.integers(2, 60, size=len(rows))
    before = np.where(rows > trail.offsets[shopper], trail.at[rows - 1], 0)
    return shopper + 1, np.maximum(at, before + 1)


def log_slates(oracle: Oracle, rng: np.random.Generator, *, progress: bool = True) -> pd.DataFrame:
    """Return the ``impressions`` table: front pages shown at random moments, with responses."""
    dials, trail = oracle.world.dials, oracle.trail
    users, at = moments(trail, round(dials.slates * dials.users), rng)
    policy, parts = FrontPage(oracle), []
    starts = range(0, len(users), BATCH)
    for start in tqdm(starts, desc="bazaar: slates", disable=not progress, leave=False):
        rows = slice(start, start + BATCH)
        slates = policy.show(users[rows], at[rows], rng)
        response = oracle.respond(users[rows], slates, at[rows], rng)
        propensities = policy.propensities(users[rows], at[rows], slates)
        n = len(slates)
        parts.append(
            pd.DataFrame(
                {
                    "slate_id": np.repeat(np.arange(start, start + n) + 1, SLATE_SIZE),
                    "user_id": np.repeat(users[rows], SLATE_SIZE),
                    "item_id": slates.ravel(),
                    "timestamp": np.repeat(at[rows], SLATE_SIZE),
                    "position": np.tile(np.arange(SLATE_SIZE, dtype=np.int8), n),
                    "propensity": propensities.ravel().astype(np.float32),
                    "examination": np.tile(oracle.examination(np.arange(SLATE_SIZE)), n).astype(
                        np.float32
                    ),
                    "clicked": response.clicked.ravel(),
                    "purchased": response.purchased.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
