"""The oracle: what is true of a shopper's next step, from the hidden state before it is taken.

It knows both intents, the taste, the weather and the calendar, and the moment of the next event;
it does not know how the coming draws fall. No model of observed histories can know as much, so
its figures are an upper bound and not a goal.
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

FIRST_ITEM = 10_001  #: id of the item in place 0; a shopper's id is the place plus 1
CLICK_AT_PAR = -2.0  #: log odds of a click on an examined item of average probability
CLICK_SLOPE = 0.7  #: how fast the log odds of a click rise with the log of that probability
BATCH = 512


@dataclass(frozen=True, eq=False)
class Response:
    """What shoppers did with a slate: two bool arrays of the slate's shape."""

    clicked: np.ndarray
    purchased: np.ndarray


class Oracle:
    """True probabilities of the bazaar; ids in, arrays out.

    Args:
        world: items, shoppers, weather and dials.
        trail: every organic event and what hid behind it.
    """

    def __init__(self, world: World, trail: Trail) -> None:
        self.world, self.trail, self.choice = world, trail, Choice(world)
        shopper = trail.shopper
        place = np.arange(len(trail))
        intent, served = trail.intent, trail.cell >= 0
        # For each event, the latest one up to it (it included) that served intent 0, and 1.
        self._latest = np.stack(
            [np.maximum.accumulate(np.where(served & (intent == k), place, -1)) for k in (0, 1)],
            axis=1,
        ) if len(trail) else np.zeros((0, 2), dtype=np.int64)  # fmt: skip
        bought = (trail.event == EVENTS.index("purchase")) & (self.choice.buys[trail.item] > 0)
        self._purchases = np.flatnonzero(bought)
        self._key = shopper * (1 << 40) + trail.at  # ascending: seconds fit in 40 bits
        self._offsets = trail.offsets

    @property
    def latents(self) -> ItemLatents:
        """What is true of the items, in the order of their ids."""
        return self.world.items

    @property
    def item_ids(self) -> np.ndarray:
        """``(n_items,)`` int64: every item of the world."""
        return np.arange(self.choice.n_items, dtype=np.int64) + FIRST_ITEM

    def scores(
        self, user_ids: np.ndarray, item_ids: np.ndarray, at: np.ndarray | int
    ) -> np.ndarray:
        """True probability that each item is the shopper's next organic event.

        The next event is known to happen at ``at``; only events before ``at`` have happened, and
        the next intent is not drawn yet.

        Args:
            user_ids: ``(n,)`` shoppers, repeats allowed.
            item_ids: ``(m,)`` items.
            at: ``(n,)`` unix seconds, or one moment for all.

        Returns:
            ``(n, m)`` float64; over all items of the world a row sums to 1.

        Raises:
            DataError: on an unknown user or item.
        """
        users = np.atleast_1d(np.asarray(user_ids, dtype=np.int64))
        who, what = self._shoppers(users), self._items(np.asarray(item_ids))
        at = np.broadcast_to(np.asarray(at, dtype=np.int64), who.shape)
        out = np.empty((len(who), len(what)))
        for start in range(0, len(who), BATCH):
            rows = slice(start, start + BATCH)
            out[rows] = self._next(who[rows], at[rows])[:, what]
        return out

    def click_probability(
        self,
        user_ids: np.ndarray,
        item_ids: np.ndarray,
        at: np.ndarray | int,
        position: np.ndarray | int | None = None,
    ) -> np.ndarray:
        """True probability of a click on a shown item.

        The log odds of a click on an examined item rise with the log of the probability that the
        shopper would have chosen it anyway; a position is examined with its own probability.

        Args:
            user_ids: ``(n,)`` shoppers.
            item_ids: ``(n,)`` one item each, or ``(n, k)`` a slate each.
            at: ``(n,)`` unix seconds, or one moment for all.
            position: of each item, from 0; None: the item is examined for sure.

        Returns:
            float64 of the shape of ``item_ids``.
        """
        item_ids = np.asarray(item_ids)
        slates = item_ids.reshape(len(item_ids), -1)
        who, what = self._shoppers(np.asarray(user_ids)), self._items(slates)
        if len(who) != len(what):
            raise ValueError(f"{len(who)} users but {len(what)} rows of items; give one row each")
        at = np.broadcast_to(np.asarray(at, dtype=np.int64), who.shape)
        chance = np.empty(what.shape)
        for start in range(0, len(who), BATCH):
            rows = slice(start, start + BATCH)
            chance[rows] = np.take_along_axis(self._next(who[rows], at[rows]), what[rows], axis=1)
        lift = np.log(np.maximum(chance * self.choice.n_items, 1e-6))
        relevance = 1 / (1 + np.exp(-(CLICK_AT_PAR + CLICK_SLOPE * lift)))
        relevance = relevance.reshape(item_ids.shape)
        return relevance if position is None else relevance * self.examination(position)

    def examination(self, position: np.ndarray | int) -> np.ndarray:
        """Probability that a position (from 0) of a slate is looked at."""
        return (1.0 + np.asarray(position)) ** -self.world.dials.position_bias

    def purchase_probability(self, user_ids: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """Probability that a clicked item is bought: quality in the shopper's aspects, and price.

        Args:
            user_ids: ``(n,)`` shoppers.
            item_ids: ``(n,)`` one item each, or ``(n, k)`` a slate each.
        """
        item_ids = np.asarray(item_ids)
        who = self._shoppers(np.asarray(user_ids))
        what = self._items(item_ids.reshape(len(item_ids), -1))
        shoppers, items = self.world.shoppers, self.world.items
        good = (shoppers.aspects[who][:, None] * items.quality[what]).sum(axis=2)
        dear = self.choice.dearness[what] * shoppers.price_sensitivity[who][:, None]
        chance = 1 / (1 + np.exp(-(-1.5 + 2.0 * good - self.world.dials.price * dear)))
        return chance.reshape(item_ids.shape)

    def respond(
        self,
        user_ids: np.ndarray | int,
        slates: np.ndarray,
        at: np.ndarray | int,
        rng: np.random.Generator,
    ) -> Response:
        """Show slates and see what happens: look, click, buy.

        The click on a position depends on nothing but the item, the shopper's state at ``at`` and
        the position. Slates leave the shopper's state as it was.

        Args:
            user_ids: ``(n,)`` shoppers, or one id.
            slates: ``(n, k)`` item ids, the top first; ``(k,)`` with one id.
            at: ``(n,)`` unix seconds, or one moment for all.
            rng: the source of luck.

        Returns:
            clicks and purchases of the shape of ``slates``.
        """
        slates = np.asarray(slates)
        rows = np.atleast_2d(slates)
        users = np.atleast_1d(np.asarray(user_ids, dtype=np.int64))
        chance = self.click_probability(users, rows, at, np.arange(rows.shape[1]))
        clicked = rng.random(rows.shape) < chance
        luck = rng.random(rows.shape)
        purchased = clicked & (luck < self.purchase_probability(users, rows))
        return Response(clicked.reshape(slates.shape), purchased.reshape(slates.shape))

    def last_item(self, user_ids: np.ndarray, at: np.ndarray | int) -> np.ndarray:
        """``(n,)`` place of the last item that each shopper met before ``at``, or -1."""
        who = self._shoppers(np.atleast_1d(np.asarray(user_ids)))
        first, now = self._now(who, np.broadcast_to(np.asarray(at, dtype=np.int64), who.shape))
        item = np.full(len(who), -1, dtype=np.int64)
        item[now > first] = self.trail.item[now[now > first] - 1]
        return item

    def recommender(self, item_ids: np.ndarray) -> OracleRecommender:
        """The oracle as a model that ranks ``item_ids``, for ``evaluate``."""
        return OracleRecommender(self, np.asarray(item_ids, dtype=np.int64))

    def _shoppers(self, user_ids: np.ndarray) -> np.ndarray:
        who = user_ids.astype(np.int64) - 1
        wrong = (who < 0) | (who >= len(self.world.shoppers))
        if wrong.any():
            first = np.unique(user_ids[wrong])[:5].tolist()
            raise DataError(
                f"the oracle knows users 1 to {len(self.world.shoppers)}, not {first}; give ids "
                f"from the bazaar's users table"
            )
        return who

    def _items(self, item_ids: np.ndarray) -> np.ndarray:
        what = item_ids.astype(np.int64) - FIRST_ITEM
        wrong = (what < 0) | (what >= self.choice.n_items)
        if wrong.any():
            first = np.unique(item_ids[wrong])[:5].tolist()
            raise DataError(
                f"the oracle knows items {FIRST_ITEM} to {FIRST_ITEM + self.choice.n_items - 1}, "
                f"not {first}; give ids from the bazaar's items table"
            )
        return what

    def _now(self, who: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the trail: each shopper's first, and the first that is not before ``at``."""
        first, end = self._offsets[who], self._offsets[who + 1]
        return first, np.clip(np.searchsorted(self._key, who * (1 << 40) + at), first, end)

    def _next(self, who: np.ndarray, at: np.ndarray) -> np.ndarray:
        """``(n, n_items)``: the distribution of the next event of shoppers ``who`` at ``at``."""
        choice, trail, dials = self.choice, self.trail, self.world.dials
        n, all_items = len(who), np.arange(choice.n_items)[None, :]
        first, now = self._now(who, at)
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

        odds = choice.likes(who, at, all_items, seen)
        free = ~seen & (odds > 0)
        wanted = choice.wants(who, at)
        # A new intent: browse every cell, each normalised by itself.
        cell_total = odds @ choice.member.T  # (n, n_cells)
        rate = wanted / np.where(cell_total > 0, cell_total, 1.0)
        anew = odds * (rate @ choice.member)

        start = self.world.shoppers.joined[who]
        if len(trail):
            last_at = np.where(past, trail.at[before], start)
            current = np.where(past, trail.intent[before], 0)
        else:
            last_at, current = start, np.zeros(n, dtype=np.int64)
        turn = choice.switches(at - last_at)
        meant = np.zeros_like(odds)
        for intent in (0, 1):
            serves = np.where(current == intent, 1 - turn, turn)
            known = latest[:, intent] >= 0
            event = np.where(known, latest[:, intent], 0)
            stays = np.zeros(n)
            follow = np.zeros_like(odds)
            if known.any():
                k = np.flatnonzero(known)
                stays[k] = choice.persists(at[k] - trail.at[event[k]])
                member = choice.member[trail.cell[event[k]]]
                follow[k] = choice.follows(
                    who[k], trail.item[event[k]], all_items, member, odds[k], free[k]
                )
            meant += serves[:, None] * (stays[:, None] * follow + (1 - stays)[:, None] * anew)

        out = choice.released(at)
        stray = (self.world.items.released <= at[:, None]) / np.maximum(out, 1)[:, None]
        basket, some = self._basket(first, now)
        share = dials.repeats * some
        return (
            dials.noise * stray
            + share[:, None] * basket
            + (1 - dials.noise - share)[:, None] * meant
        )

    def _basket(self, first: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(n, n_items)``: which of the latest purchases is made again; and whether any can be."""
        basket = np.zeros((len(now), self.choice.n_items))
        end = np.searchsorted(self._purchases, now)
        begin = np.maximum(np.searchsorted(self._purchases, first), end - BASKET)
        some = end > begin
        for back in range(1, BASKET + 1):
            rows = np.flatnonzero(end - back >= begin)
            items = self.trail.item[self._purchases[end[rows] - back]]
            basket[rows, items] += 1.0 / (end - begin)[rows]
        return basket, some


class OracleRecommender:
    """Ranks by the true probabilities; the interface of a recommender without fitting."""

    name = "Oracle"
    variant = ""
    n_params = 0

    def __init__(self, oracle: Oracle, item_ids: np.ndarray) -> None:
        self.oracle, self.item_ids = oracle, item_ids

    def score(self, histories: Histories) -> np.ndarray:
        """``(n, n_items)`` true probabilities at each row's moment; the history is not read."""
        if not np.array_equal(histories.item_ids, self.item_ids):
            raise DataError("the histories have other item_ids than this oracle was asked to rank")
        return self.oracle.scores(histories.user_ids, self.item_ids, histories.at)
