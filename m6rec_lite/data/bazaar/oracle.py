"""The oracle: true probabilities of a shopper's next event, given the hidden state before it.

The state holds both intents, the taste, the weather, the calendar and the moment of the next event,
but no future random draw. A model of observed histories has less information, so the metrics of the
oracle are an upper bound, not a target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.latents import ItemLatents
from m6rec_lite.data.bazaar.simulate import BASKET, Trail
from m6rec_lite.data.bazaar.world import World
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import ranges
from m6rec_lite.data.tables import EVENTS, DataError

FIRST_ITEM = 10_001  #: id of the item with index 0; a shopper's id is the index plus 1
CLICK_AT_PAR = -2.0  #: log odds of a click on an examined item of average probability
CLICK_SLOPE = 0.7  #: slope of the log odds of a click in the log of that probability
BATCH = 512


@dataclass(frozen=True, eq=False)
class Response:
    """Responses of shoppers to slates: two bool arrays of the slates' shape."""

    clicked: np.ndarray
    purchased: np.ndarray


class Oracle:
    """True probabilities of a bazaar; methods take ids and return arrays.

    Args:
        world: items, shoppers, weather and parameters.
        trail: all organic events with the hidden state of each.
    """

    def __init__(self, world: World, trail: Trail) -> None:
        self.world, self.trail, self.choice = world, trail, Choice(world)
        shopper = trail.shopper
        row = np.arange(len(trail))
        intent, served = trail.intent, trail.cell >= 0
        # For each event, the row of the latest event up to it that served intent 0, and intent 1.
        self._latest = np.stack(
            [np.maximum.accumulate(np.where(served & (intent == k), row, -1)) for k in (0, 1)],
            axis=1,
        ) if len(trail) else np.zeros((0, 2), dtype=np.int64)  # fmt: skip
        bought = (trail.event == EVENTS.index("purchase")) & (
            self.choice.purchase_rate[trail.item] > 0
        )
        self._purchases = np.flatnonzero(bought)
        self._key = shopper * (1 << 40) + trail.at  # sort key: unix seconds fit in 40 bits
        self._offsets = trail.offsets

    @property
    def latents(self) -> ItemLatents:
        """Hidden attributes of the items, in the order of their ids."""
        return self.world.items

    @property
    def item_ids(self) -> np.ndarray:
        """``(n_items,)`` int64: ids of all items of the world."""
        return np.arange(self.choice.n_items, dtype=np.int64) + FIRST_ITEM

    def scores(
        self, user_ids: np.ndarray, item_ids: np.ndarray, at: np.ndarray | int
    ) -> np.ndarray:
        """Return the probability that each item is the shopper's next organic event.

        It is conditional on an event at ``at`` and on the state after all events before ``at``;
        the intent of the next event is not known.

        Args:
            user_ids: ``(n,)`` ids of shoppers, repeats allowed.
            item_ids: ``(m,)`` ids of items.
            at: ``(n,)`` unix seconds, or one moment for all.

        Returns:
            ``(n, m)`` float64; a row over all items of the world sums to 1.

        Raises:
            DataError: if a user or item is unknown.
        """
        users = np.atleast_1d(np.asarray(user_ids, dtype=np.int64))
        shopper, items = self._shoppers(users), self._items(np.asarray(item_ids))
        at = np.broadcast_to(np.asarray(at, dtype=np.int64), shopper.shape)
        scores = np.empty((len(shopper), len(items)))
        for start in range(0, len(shopper), BATCH):
            rows = slice(start, start + BATCH)
            scores[rows] = self._next(shopper[rows], at[rows])[:, items]
        return scores

    def click_probability(
        self,
        user_ids: np.ndarray,
        item_ids: np.ndarray,
        at: np.ndarray | int,
        position: np.ndarray | int | None = None,
    ) -> np.ndarray:
        """Return the probability of a click on a shown item.

        It is the examination probability of the position times the probability of a click on an
        examined item, whose log odds are linear in the log of the item's probability as the next
        organic event.

        Args:
            user_ids: ``(n,)`` ids of shoppers.
            item_ids: ``(n,)`` one item each, or ``(n, k)`` a slate each.
            at: ``(n,)`` unix seconds, or one moment for all.
            position: position of each item, from 0; None: every item is examined.

        Returns:
            float64 of the shape of ``item_ids``.
        """
        item_ids = np.asarray(item_ids)
        slates = item_ids.reshape(len(item_ids), -1)
        shopper, items = self._shoppers(np.asarray(user_ids)), self._items(slates)
        if len(shopper) != len(items):
            raise ValueError(
                f"{len(shopper)} users but {len(items)} rows of items; give one row each"
            )
        at = np.broadcast_to(np.asarray(at, dtype=np.int64), shopper.shape)
        probability = np.empty(items.shape)
        for start in range(0, len(shopper), BATCH):
            rows = slice(start, start + BATCH)
            distribution = self._next(shopper[rows], at[rows])
            probability[rows] = np.take_along_axis(distribution, items[rows], axis=1)
        lift = np.log(np.maximum(probability * self.choice.n_items, 1e-6))
        relevance = 1 / (1 + np.exp(-(CLICK_AT_PAR + CLICK_SLOPE * lift)))
        relevance = relevance.reshape(item_ids.shape)
        return relevance if position is None else relevance * self.examination(position)

    def examination(self, position: np.ndarray | int) -> np.ndarray:
        """Return the probability that a position (from 0) of a slate is examined."""
        return (1.0 + np.asarray(position)) ** -self.world.dials.position_bias

    def purchase_probability(self, user_ids: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """Return the probability that a clicked item is purchased.

        It depends on the item's quality in the aspects the shopper values, and on its price.

        Args:
            user_ids: ``(n,)`` ids of shoppers.
            item_ids: ``(n,)`` one item each, or ``(n, k)`` a slate each.

        Returns:
            float64 of the shape of ``item_ids``.
        """
        item_ids = np.asarray(item_ids)
        shopper = self._shoppers(np.asarray(user_ids))
        item = self._items(item_ids.reshape(len(item_ids), -1))
        shoppers, items = self.world.shoppers, self.world.items
        quality = (shoppers.aspects[shopper][:, None] * items.quality[item]).sum(axis=2)
        price = self.choice.price_score[item] * shoppers.price_sensitivity[shopper][:, None]
        logit = -1.5 + 2.0 * quality - self.world.dials.price * price
        return (1 / (1 + np.exp(-logit))).reshape(item_ids.shape)

    def respond(
        self,
        user_ids: np.ndarray | int,
        slates: np.ndarray,
        at: np.ndarray | int,
        rng: np.random.Generator,
    ) -> Response:
        """Draw clicks and purchases of shoppers on slates.

        A click depends only on the item, the position and the shopper's state at ``at``. Slates do
        not change the shopper's state.

        Args:
            user_ids: ``(n,)`` ids of shoppers, or one id.
            slates: ``(n, k)`` item ids, top position first; ``(k,)`` with one id.
            at: ``(n,)`` unix seconds, or one moment for all.
            rng: source of randomness.

        Returns:
            Clicks and purchases of the shape of ``slates``.
        """
        slates = np.asarray(slates)
        rows = np.atleast_2d(slates)
        users = np.atleast_1d(np.asarray(user_ids, dtype=np.int64))
        probability = self.click_probability(users, rows, at, np.arange(rows.shape[1]))
        clicked = rng.random(rows.shape) < probability
        purchased = clicked & (rng.random(rows.shape) < self.purchase_probability(users, rows))
        return Response(clicked.reshape(slates.shape), purchased.reshape(slates.shape))

    def last_item(self, user_ids: np.ndarray, at: np.ndarray | int) -> np.ndarray:
        """Return ``(n,)``: the index of each shopper's last item before ``at``, or -1."""
        shopper = self._shoppers(np.atleast_1d(np.asarray(user_ids)))
        at = np.broadcast_to(np.asarray(at, dtype=np.int64), shopper.shape)
        first, now = self._event_rows(shopper, at)
        item = np.full(len(shopper), -1, dtype=np.int64)
        item[now > first] = self.trail.item[now[now > first] - 1]
        return item

    def recommender(self, item_ids: np.ndarray) -> OracleRecommender:
        """Return the oracle as a recommender over ``item_ids``, for ``evaluate``."""
        return OracleRecommender(self, np.asarray(item_ids, dtype=np.int64))

    def _shoppers(self, user_ids: np.ndarray) -> np.ndarray:
        """Return the indices of shoppers; raise ``DataError`` if one is unknown."""
        shopper = user_ids.astype(np.int64) - 1
        wrong = (shopper < 0) | (shopper >= len(self.world.shoppers))
        if wrong.any():
            first = np.unique(user_ids[wrong])[:5].tolist()
            raise DataError(
                f"the oracle knows users 1 to {len(self.world.shoppers)}, not {first}; give ids "
                f"from the bazaar's users table"
            )
        return shopper

    def _items(self, item_ids: np.ndarray) -> np.ndarray:
        """Return the indices of items; raise ``DataError`` if one is unknown."""
        item = item_ids.astype(np.int64) - FIRST_ITEM
        wrong = (item < 0) | (item >= self.choice.n_items)
        if wrong.any():
            first = np.unique(item_ids[wrong])[:5].tolist()
            raise DataError(
                f"the oracle knows items {FIRST_ITEM} to {FIRST_ITEM + self.choice.n_items - 1}, "
                f"not {first}; give ids from the bazaar's items table"
            )
        return item

    def _event_rows(self, shopper: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of the trail: each shopper's first, and the first one at or after ``at``."""
        first, end = self._offsets[shopper], self._offsets[shopper + 1]
        return first, np.clip(np.searchsorted(self._key, shopper * (1 << 40) + at), first, end)

    def _next(self, shopper: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return ``(n, n_items)``: the distribution of each shopper's next event at ``at``."""
        choice, trail, dials = self.choice, self.trail, self.world.dials
        n, all_items = len(shopper), np.arange(choice.n_items)[None, :]
        first, now = self._event_rows(shopper, at)
        past = now > first
        before = np.where(past, now - 1, 0)
        latest = np.full((n, 2), -1)
        if len(trail):
            latest = np.where(past[:, None], self._latest[before], -1)
            latest = np.where(latest >= first[:, None], latest, -1)

        seen = np.zeros((n, choice.n_items), dtype=bool)
        length = now - first
        rows = np.repeat(np.arange(n), length)
        events = ranges(first, length)
        seen[rows, trail.item[events]] = True

        odds = choice.item_odds(shopper, at, all_items, seen)
        free = ~seen & (odds > 0)
        wanted = choice.intent_distribution(shopper, at)
        # A new intent: a mixture over cells of the distribution within each cell.
        cell_total = odds @ choice.member.T  # (n, n_cells)
        rate = wanted / np.where(cell_total > 0, cell_total, 1.0)
        new_intent = odds * (rate @ choice.member)

        start = self.world.shoppers.joined[shopper]
        if len(trail):
            last_at = np.where(past, trail.at[before], start)
            current = np.where(past, trail.intent[before], 0)
        else:
            last_at, current = start, np.zeros(n, dtype=np.int64)
        switch = choice.switch_probability(at - last_at)
        by_intent = np.zeros_like(odds)
        for intent in (0, 1):
            served = np.where(current == intent, 1 - switch, switch)
            known = latest[:, intent] >= 0
            event = np.where(known, latest[:, intent], 0)
            unchanged = np.zeros(n)
            same_intent = np.zeros_like(odds)
            if known.any():
                k = np.flatnonzero(known)
                unchanged[k] = choice.unchanged_probability(at[k] - trail.at[event[k]])
                member = choice.member[trail.cell[event[k]]]
                same_intent[k] = choice.item_distribution(
                    shopper[k], trail.item[event[k]], all_items, member, odds[k], free[k]
                )
            by_intent += served[:, None] * (
                unchanged[:, None] * same_intent + (1 - unchanged)[:, None] * new_intent
            )

        n_released = np.maximum(choice.released(at), 1)
        noise = (self.world.items.released <= at[:, None]) / n_released[:, None]
        repeat, has_purchase = self._repeat_purchase(first, now)
        share = dials.repeats * has_purchase
        return (
            dials.noise * noise
            + share[:, None] * repeat
            + (1 - dials.noise - share)[:, None] * by_intent
        )

    def _repeat_purchase(self, first: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the distribution of a repeated purchase, over the latest ones.

        Args:
            first: ``(n,)`` row of each shopper's first event.
            now: ``(n,)`` row behind each shopper's last event before now.

        Returns:
            ``(n, n_items)`` float64; ``(n,)`` bool: whether there is a purchase to repeat.
        """
        distribution = np.zeros((len(now), self.choice.n_items))
        end = np.searchsorted(self._purchases, now)
        begin = np.maximum(np.searchsorted(self._purchases, first), end - BASKET)
        for back in range(1, BASKET + 1):
            rows = np.flatnonzero(end - back >= begin)
            items = self.trail.item[self._purchases[end[rows] - back]]
            distribution[rows, items] += 1.0 / (end - begin)[rows]
        return distribution, end > begin


class OracleRecommender:
    """Recommender that scores by the true probabilities; it needs no fitting.

    Args:
        oracle: oracle of the world.
        item_ids: ``(n_items,)`` ids of the items to score.
    """

    name = "Oracle"
    variant = ""
    n_params = 0

    def __init__(self, oracle: Oracle, item_ids: np.ndarray) -> None:
        self.oracle, self.item_ids = oracle, item_ids

    def score(self, histories: Histories) -> np.ndarray:
        """Return ``(n, n_items)``: true probabilities at ``histories.at``; no event is read.

        Raises:
            DataError: if the histories have other item ids.
        """
        if not np.array_equal(histories.item_ids, self.item_ids):
            raise DataError(
                "the histories have other item_ids than this recommender; make another one with "
                "oracle.recommender(histories.item_ids)"
            )
        return self.oracle.scores(histories.user_ids, self.item_ids, histories.at)
