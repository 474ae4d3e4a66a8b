"""What the bazaar shows: a front page of ten places, drawn by a policy whose odds are known.

The shelves are the five domains, each cut into its better-known half and the rest. The page shows
one item of each shelf, drawn among what is released in proportion to popularity, and ``NEAR`` times
as likely where it is about the interest of the shopper's last event. The shelves lie
in a ring that starts with the domain of the shopper's last event; with probability ``SETTLED``
the ring starts at the top of the page, else it is turned by one of the nine other steps. So each
item at each position has one known probability, its *propensity*:

    P(item at position) = P(turn that brings its shelf there) * P(item | its shelf)

and no item appears twice. Weighting a logged click on (item, position) by the odds of another
policy over this one estimates the clicks of that policy (Horvitz and Thompson, 1952; the
item-position model of Li et al., 2018, arXiv 1804.10488), because a click here depends on the
item and the position alone. The page tends to place what a shopper came for at the top, so plain
click rates by position overstate what a position does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.data.bazaar.choice import draw
from m6rec_lite.data.bazaar.latents import DOMAINS
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle
from m6rec_lite.data.bazaar.simulate import Trail

PLACES = 2 * len(DOMAINS)  #: positions of a slate, one a shelf
SETTLED = 0.4  #: probability that the ring of shelves is not turned
TILT = 0.7  #: exponent of popularity within a shelf
BATCH = 2048  #: slates worked on at a time
NEAR = 8.0  #: odds, within a shelf, of the interest of the shopper's last event


class FrontPage:
    """The logging policy of one world; with other settings, a policy to compare it with.

    Args:
        oracle: of the world.
        settled: probability that the ring of shelves is not turned.
        tilt: exponent of popularity within a shelf.
        near: odds, within a shelf, of the interest of the shopper's last event; 1: no matter.
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
            best_first = own[np.argsort(-items.popularity[own], kind="stable")]
            self.shelf[own] = 2 * domain + 1
            self.shelf[best_first[: (len(own) + 1) // 2]] = 2 * domain
        self.weight = items.popularity.astype(float) ** tilt
        self.turns = np.full(PLACES, (1 - settled) / (PLACES - 1))
        self.turns[0] = settled

    def choices(self, user_ids: np.ndarray, at: np.ndarray) -> np.ndarray:
        """``(n, n_items)``: the probability of each item within its shelf, among the released."""
        items, last = self.oracle.world.items, self.oracle.last_item(user_ids, at)[:, None]
        odds = self.weight * (items.released <= np.asarray(at)[:, None])
        odds *= np.where((last >= 0) & (items.interest == items.interest[last]), self.near, 1.0)
        total = odds @ (self.shelf[:, None] == np.arange(PLACES))
        return odds / np.where(total > 0, total, 1.0)[:, self.shelf]

    def propensities(self, user_ids: np.ndarray, at: np.ndarray, slates: np.ndarray) -> np.ndarray:
        """Probability that this policy puts each item of a slate where it lies.

        Args:
            user_ids: ``(n,)`` shoppers.
            at: ``(n,)`` unix seconds.
            slates: ``(n, k)`` item ids, the top first.

        Returns:
            ``(n, k)`` float64.
        """
        users, at, what = np.asarray(user_ids), np.asarray(at), np.asarray(slates) - FIRST_ITEM
        ring = (self.shelf[what] - 2 * self._first_domain(users, at)[:, None]) % PLACES
        told = self.turns[(ring - np.arange(what.shape[1])) % PLACES]
        for start in range(0, len(at), BATCH):
            rows = slice(start, start + BATCH)
            choices = self.choices(users[rows], at[rows])
            told[rows] *= np.take_along_axis(choices, what[rows], axis=1)
        return told

    def show(self, user_ids: np.ndarray, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a slate for each shopper: ``(n, PLACES)`` item ids, the top first."""
        users, at = np.asarray(user_ids), np.asarray(at)
        turn = draw(np.broadcast_to(self.turns, (len(at), PLACES)), rng)
        first = turn + 2 * self._first_domain(users, at)
        slates = np.empty((len(at), PLACES), dtype=np.int64)
        for start in range(0, len(at), BATCH):
            rows = slice(start, start + BATCH)
            choices = self.choices(users[rows], at[rows])
            for place in range(PLACES):
                shelf = (place + first[rows, None]) % PLACES
                slates[rows, place] = draw(choices * (self.shelf == shelf), rng)
        return slates + FIRST_ITEM

    def _first_domain(self, user_ids: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Domain of each shopper's last event before ``at``; the shop where there is none."""
        item = self.oracle.last_item(user_ids, at)
        return np.where(item >= 0, self.oracle.world.items.domain[item], 0)


def moments(trail: Trail, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``n`` different moments shortly before organic events: user ids and unix seconds."""
    rows = np.sort(rng.choice(len(trail), size=min(n, len(trail)), replace=False))
    shopper = trail.shopper[rows]
    at = trail.at[rows] - rng.integers(2, 60, size=len(rows))
    before = np.where(rows > trail.offsets[shopper], trail.at[rows - 1], 0)
    return shopper + 1, np.maximum(at, before + 1)


def log_slates(oracle: Oracle, rng: np.random.Generator, *, progress: bool = True) -> pd.DataFrame:
    """Show front pages at random moments and log them: the ``impressions`` table."""
    dials, trail = oracle.world.dials, oracle.trail
    users, at = moments(trail, round(dials.slates * dials.users), rng)
    page, parts = FrontPage(oracle), []
    starts = range(0, len(users), BATCH)
    for start in tqdm(starts, desc="bazaar: slates", disable=not progress, leave=False):
        rows = slice(start, start + BATCH)
        slates = page.show(users[rows], at[rows], rng)
        answer = oracle.respond(users[rows], slates, at[rows], rng)
        known = page.propensities(users[rows], at[rows], slates)
        n = len(slates)
        parts.append(
            pd.DataFrame(
                {
                    "slate_id": np.repeat(np.arange(start, start + n) + 1, PLACES),
                    "user_id": np.repeat(users[rows], PLACES),
                    "item_id": slates.ravel(),
                    "timestamp": np.repeat(at[rows], PLACES),
                    "position": np.tile(np.arange(PLACES, dtype=np.int8), n),
                    "propensity": known.ravel().astype(np.float32),
                    "examination": np.tile(oracle.examination(np.arange(PLACES)), n).astype(
                        np.float32
                    ),
                    "clicked": answer.clicked.ravel(),
                    "purchased": answer.purchased.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
