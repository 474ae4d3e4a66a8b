"""The distribution of the hidden state of shoppers, given their observed events.

See ``bayes_filter``: each event updates the probabilities of all states that explain it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.latents import LEVELS
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.simulate import BASKET
from m6rec_lite.data.bazaar.world import (
    DOMAIN_SHARES,
    LEVEL_SHARES,
    N_CELLS,
    N_INTERESTS,
    World,
    tastes_of_ages,
)
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.tables import EVENTS

#: Total of the Dirichlet prior of a shopper's interests; that of the domains is ``roaming``.
TASTE = 6.0
_KEY = 128  #: above the number of cells plus 1, and of events plus 1


class HiddenStates:
    """The possible states of ``n`` shoppers after their observed events, ``k`` of each.

    Attributes:
        cell: ``(n, k, 2)`` cell of the current and of the other intent, -1 for none.
        event: ``(n, k, 2)`` index of the last event that served each.
        weight: ``(n, k)`` probabilities of the states; rows sum to 1.
        counts: ``(n, k, n_interests + n_domains)`` new intents so far.
    """

    def __init__(self, world: World, histories: Histories, known: bool, k: int) -> None:
        n, most = len(histories), max(1, int(histories.lengths.max(initial=0)))
        observed = np.arange(most) < histories.lengths[:, None]
        self.item, self.at = (np.zeros((n, most), dtype=np.int64) for _ in range(2))
        self.item[observed] = histories.item_ids[histories.items] - FIRST_ITEM
        self.at[observed] = histories.timestamps
        purchase = np.zeros((n, most), dtype=bool)
        purchase[observed] = histories.events == EVENTS.index("purchase")
        self.known, shoppers = known, world.shoppers[histories.user_ids - 1]
        self.last_at = shoppers.joined.copy()
        if not known:
            self.last_at = np.where(observed[:, 0], self.at[:, 0], histories.at) - 1
            shoppers = replace(
                shoppers,
                price_sensitivity=np.full(n, 0.5),
                loyalty=np.full(n, 1.5 / 4.5),
                patience=np.full(n, 0.5),
            )
        self.choice = Choice(replace(world, shoppers=shoppers))
        items = world.items
        own, second = items.domain.astype(np.int64) * N_INTERESTS, items.second.astype(np.int64)
        self.cells = np.stack([world.cells, np.where(second < 0, -1, own + second)], axis=1)
        self.curiosity = world.dials.curiosity * 1.5 / 13.5
        self.seen = np.zeros((n, self.choice.n_items), dtype=bool)
        if not known:
            self.seen[np.nonzero(observed)[0], self.item[observed]] = True
            self._infer_style_and_level()
            self.seen[:] = False
        self.basket, self.bought = np.full((n, BASKET), -1), np.zeros(n, dtype=np.int64)
        self.cell, self.event = np.full((n, k, 2), -1), np.full((n, k, 2), -1)
        self.weight = np.zeros((n, k))
        self.weight[:, 0] = 1.0
        self.counts = np.zeros((n, k, N_INTERESTS + len(DOMAIN_SHARES)))
        for t in range(int(histories.lengths.max(initial=0))):
            rows = np.flatnonzero(observed[:, t])
            self._observe(rows, t, purchase[rows, t])

    def _infer_style_and_level(self) -> None:
        """Replace the odds by their posterior mean over styles and levels, within each cell."""
        choice, cells = self.choice, self.cells[:, 0]
        total = np.zeros((len(choice.odds), N_CELLS))
        np.add.at(total.T, cells, choice.odds.T)
        shares = choice.odds / total[:, cells]  # (n_types, n_items): odds within the cell
        prior = np.tile(np.repeat(LEVEL_SHARES, 2), len(words.STYLES))
        log_posterior = self.seen @ np.log(shares).T + np.log(prior)
        locale = np.tile([0, 1], len(words.STYLES) * len(LEVELS))
        other = locale != choice.world.shoppers.locale[:, None]
        log_posterior[other] = -np.inf
        posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        choice.odds = (posterior @ shares) * (posterior @ total)[:, cells]
        choice.type = np.arange(len(posterior))

    def _intents(self, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the distribution of a new intent in each state, ``(n, k, n_cells)``."""
        choice = self.choice
        if self.known:
            return choice.intent_distribution(rows, at)[:, None]
        season, weekday = (factor[:, None] for factor in choice.moment(rows, at))
        counts = self.counts[rows]
        age = tastes_of_ages()[choice.world.shoppers.age[rows]]
        prior = TASTE * (age / age.sum(axis=1, keepdims=True))[:, None]
        taste = (prior + counts[..., :N_INTERESTS]) * season
        taste = taste / taste.sum(axis=-1, keepdims=True)
        interest = (1 - self.curiosity) * taste + self.curiosity * season / season.sum(-1)[
            ..., None
        ]
        domain = choice.dials.roaming * DOMAIN_SHARES + counts[..., N_INTERESTS:]
        domain = domain * weekday
        intents = (domain[..., None] * interest[..., None, :]).reshape(*counts.shape[:2], N_CELLS)
        intents *= choice.supply
        return intents / intents.sum(axis=-1, keepdims=True)

    def _unchanged(self, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the probability that each intent is unchanged, ``(n, k, 2)``; 0 if unknown."""
        event = self.event[rows]
        served = self.at[rows[:, None, None], np.maximum(event, 0)]
        unchanged = self.choice.unchanged_probability(at[:, None, None] - served)
        return np.where(event >= 0, unchanged, 0.0)

    def _serves(self, rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the probability that an event serves each intent, ``(n, 1, 2)``."""
        switch = self.choice.switch_probability(at - self.last_at[rows])
        return np.stack([1 - switch, switch], axis=1)[:, None]

    def _items(
        self, rows: np.ndarray, at: np.ndarray, cell: np.ndarray, last: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the items of cells, and the distribution of the next item: ``(n, width)`` each."""
        choice = self.choice
        items, member = choice.cell_items[cell], choice.cell_member[cell]
        seen = self.seen[rows[:, None], items]
        odds = choice.item_odds(rows, at, items, seen)
        free = ~seen & (odds > 0)
        return items, choice.item_distribution(rows, last, items, member, odds, free)

    def _observe(self, rows: np.ndarray, t: int, purchase: np.ndarray) -> None:
        """Update the states of some shoppers by their event with index ``t``."""
        choice, dials, n = self.choice, self.choice.dials, len(rows)
        item, at = self.item[rows, t], self.at[rows, t]
        cells = self.cells[item]  # (n, 2): the cells that a new intent for this item can have
        cell, event, k = self.cell[rows], self.event[rows], self.weight.shape[1]
        # P(item | cell, last item) of unchanged intents, where the item belongs to the cell
        follows = np.zeros((n, k, 2))
        possible = (cell >= 0) & (choice.member[cell, item[:, None, None]] > 0)
        row, state, intent = np.nonzero(possible & (self.weight[rows] > 0)[..., None])
        last = self.item[rows[row], event[row, state, intent]]
        among, share = self._items(rows[row], at[row], cell[row, state, intent], last)
        follows[row, state, intent] = (share * (among == item[row, None])).sum(axis=1)
        # P(cell) P(item | cell) of new intents
        row, number = np.nonzero(cells >= 0)
        nothing = np.full(len(row), -1)
        among, share = self._items(rows[row], at[row], cells[row, number], nothing)
        first = np.zeros((n, 2))
        first[row, number] = (share * (among == item[row, None])).sum(axis=1)
        intents = self._intents(rows, at)
        new = np.take_along_axis(intents, np.maximum(cells, 0)[:, None], axis=2) * first[:, None]
        # the explanations of the event: (n, k, intent, unchanged or new in either cell)
        bought = self.bought[rows]
        entries = (self.basket[rows] == item[:, None]).sum(axis=1)
        repeats = entries / np.clip(bought, 1, BASKET)
        stray = dials.noise / np.maximum(choice.released(at), 1)
        rate = np.where(purchase, choice.purchase_rate[item], 1 - choice.purchase_rate[item])
        repeat_share = dials.repeats * (bought > 0)
        none = stray * rate + repeat_share * repeats * purchase
        unchanged = self._unchanged(rows, at)
        ways = np.concatenate(
            [
                (unchanged * follows)[..., None],
                (1 - unchanged)[..., None] * np.broadcast_to(new, (n, k, 2))[:, :, None],
            ],
            axis=3,
        )
        ways *= self._serves(rows, at)[..., None]
        ways *= ((1 - dials.noise - repeat_share) * rate)[:, None, None, None]
        self._replace(rows, t, none, ways, cells)
        buys = rows[purchase & (choice.purchase_rate[item] > 0)]
        self.basket[buys, self.bought[buys] % BASKET] = self.item[buys, t]
        self.bought[buys] += 1
        self.seen[rows, item] = True
        self.last_at[rows] = at

    def _replace(
        self, rows: np.ndarray, t: int, none: np.ndarray, ways: np.ndarray, cells: np.ndarray
    ) -> None:
        """Merge equal states after an event, and keep the most probable ones.

        Args:
            rows: ``(n,)`` indices of the shoppers.
            t: index of the event.
            none: ``(n,)`` probability of the event without an intent.
            ways: ``(n, k, 2, 3)`` probability of each explanation by an intent.
            cells: ``(n, 2)`` cells of new intents.
        """
        n, k = ways.shape[:2]
        weight = np.concatenate([np.tile(none[:, None, None], (1, k, 1)), ways.reshape(n, k, 6)], 2)
        weight *= self.weight[rows][..., None]
        row, state, way = np.nonzero(weight > 0)
        weights, source = weight[row, state, way], rows[row]
        cell, event, counts = (a[source, state] for a in (self.cell, self.event, self.counts))
        intent, how = (way - 1) // 3, (way - 1) % 3
        serves, is_new = way > 0, (way > 0) & (how > 0)
        swap = serves & (intent == 1)  # the other intent becomes the current one
        cell[swap], event[swap] = cell[swap][:, ::-1], event[swap][:, ::-1]
        event[serves, 0] = t
        cell[is_new, 0] = cells[row[is_new], how[is_new] - 1]
        counts[is_new, cell[is_new, 0] % N_INTERESTS] += 1
        counts[is_new, N_INTERESTS + cell[is_new, 0] // N_INTERESTS] += 1
        key = row.astype(np.int64)
        for part in (cell[:, 0], event[:, 0], cell[:, 1], event[:, 1]):
            key = key * _KEY + part + 1
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        merged = np.bincount(group, weights)
        mean = sparse.csr_array((weights / merged[group], (group, np.arange(len(group)))))
        counts = mean @ counts
        order = np.lexsort((-merged, row[first]))
        owner = row[first][order]
        rank = np.arange(len(order)) - np.searchsorted(owner, owner)
        order, owner, rank = order[rank < k], owner[rank < k], rank[rank < k]
        fresh = np.zeros((n, k))
        fresh[owner, rank] = merged[order]
        # an event that no explanation covers leaves the states as they were
        explained = fresh.sum(axis=1) > 0
        fresh[explained] /= fresh[explained].sum(axis=1, keepdims=True)
        fresh[~explained] = self.weight[rows[~explained]]
        self.weight[rows] = fresh
        self.cell[rows[owner], rank] = cell[first][order]
        self.event[rows[owner], rank] = event[first][order]
        self.counts[rows[owner], rank] = counts[order]

    def predict(self, at: np.ndarray) -> np.ndarray:
        """Return the probability of each item as the next event at a time, ``(n, n_items)``."""
        choice, dials, n = self.choice, self.choice.dials, len(at)
        rows, every = np.arange(n), np.arange(choice.n_items)[None]
        odds = choice.item_odds(rows, at, every, self.seen)
        total = odds @ choice.member.T
        serves, unchanged = self._serves(rows, at), self._unchanged(rows, at)
        by_intent = self.weight[..., None] * serves  # (n, k, 2)
        new = (by_intent * (1 - unchanged)).sum(axis=2)[..., None] * self._intents(rows, at)
        result = odds * ((new.sum(axis=1) / np.where(total > 0, total, 1.0)) @ choice.member)
        row, state, intent = np.nonzero(by_intent * unchanged > 1e-6)
        last = self.item[row, self.event[row, state, intent]]
        items, share = self._items(row, at[row], self.cell[row, state, intent], last)
        share = share * (by_intent * unchanged)[row, state, intent][:, None]
        index = (row[:, None] * choice.n_items + items).ravel()
        result += np.bincount(index, share.ravel(), n * choice.n_items).reshape(n, -1)
        repeat_share = dials.repeats * (self.bought > 0)
        result *= (1 - dials.noise - repeat_share)[:, None]
        buyer, entry = np.nonzero(self.basket >= 0)
        each = repeat_share[buyer] / np.minimum(self.bought, BASKET)[buyer]
        np.add.at(result, (buyer, self.basket[buyer, entry]), each)
        released = choice.world.items.released <= at[:, None]
        return result + dials.noise * released / np.maximum(choice.released(at), 1)[:, None]
