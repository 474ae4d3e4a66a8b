"""Probabilities of a shopper's next event, used by the simulator and by the oracle.

The simulator draws from these functions and the oracle returns their values, so both use the same
probabilities. A shopper has two intents at a time. Each event is drawn in these steps:

1. with probability ``noise`` the event is a uniform draw from all released items, and with
   probability ``repeats`` it repeats one of the latest purchases;
2. otherwise the event serves one of the two intents: that of the last event, or the other one;
3. the intent is unchanged, or replaced by a new cell: a domain and an interest, which depends on
   taste, month and weather;
4. the item is drawn from the intent's cell: the next part of a series, a complement of the last
   item, or any item of the cell by style, level, price, creator, popularity and novelty.
"""

from __future__ import annotations

import numpy as np

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import LEVELS
from m6rec_lite.data.bazaar.world import DAY, DAYS, END, N_CELLS, N_KINDS, START, World

PAUSE = 6 * 3600  #: seconds without an event after which a session ends
SECOND = 0.4  #: weight of an item in the cell of its second interest
LOYAL = 6.0  #: factor added to the odds of the last item's creator for the most loyal shopper
SAME_LEVEL = 3.0  #: odds factor of a complement that has the level of the last item
FRESH = 45 * DAY  #: age in seconds up to which an item counts as new
#: ``(7, n_domains)`` factors by weekday, Monday first: more courses on weekdays, more videos and
#: music at weekends.
WEEKDAY = np.array(
    [[0.9, 1.2, 0.8, 0.9, 1.4]] * 4 + [[1.0, 1.0, 1.2, 1.2, 0.8]] + [[1.4, 0.7, 1.4, 1.2, 0.6]] * 2
)


class Choice:
    """Choice probabilities of one world.

    In all methods ``shopper`` is an ``(n,)`` array of shopper indices (``user_id - 1``), ``items``
    an array of item indices, and ``at`` an ``(n,)`` array of unix seconds.

    Args:
        world: items, shoppers, weather and parameters.
    """

    def __init__(self, world: World) -> None:
        self.world, self.dials = world, world.dials
        items, dials = world.items, world.dials
        n = len(items.domain)
        self.n_items = n
        cells = world.cells
        second = items.domain.astype(np.int64) * len(words.INTERESTS) + items.second
        self.member = np.zeros((N_CELLS, n))
        has_second = items.second >= 0
        self.member[second[has_second], np.flatnonzero(has_second)] = SECOND
        self.member[cells, np.arange(n)] = 1.0
        open_early = np.zeros((N_CELLS, n), dtype=bool)
        open_early[cells, np.arange(n)] = items.released <= START
        # Demand for a cell is proportional to its number of early items; 0 where it has none.
        self.supply = open_early.sum(axis=1).astype(float)
        # The items of each cell; rows are padded with items of weight 0.
        width = int((self.member > 0).sum(axis=1).max())
        self.cell_items = np.argsort(self.member == 0, axis=1, kind="stable")[:, :width]
        self.cell_member = np.take_along_axis(self.member, self.cell_items, axis=1)

        logs = np.log(np.where(np.isnan(items.price), 1.0, items.price))
        self.price_score = np.zeros(n)  # standardized log price within the domain
        for domain in (0, 4):
            sold = items.domain == domain
            if sold.any():
                self.price_score[sold] = (logs[sold] - logs[sold].mean()) / (
                    logs[sold].std() + 1e-9
                )
        self.next_part = self._next_parts()
        self.by_release = np.argsort(items.released, kind="stable")
        self.release_dates = items.released[self.by_release]
        # Odds of each item for each type of shopper; a type encodes (style, level, locale).
        style = np.where(np.arange(len(words.STYLES))[:, None] == items.style, dials.style, 1.0)
        steps = np.abs(np.arange(len(LEVELS))[:, None] - items.level)
        level = np.array([dials.level, 1.0, 1.0 / dials.level])[steps]
        locale = np.array([[1.0, 0.03], [0.3, 3.0]])[:, items.locale]
        odds = style[:, None, None] * level[None, :, None] * locale[None, None]
        self.odds = odds.reshape(-1, n) * items.popularity
        shoppers = world.shoppers
        self.type = (shoppers.style.astype(np.int64) * len(LEVELS) + shoppers.level) * 2
        self.type = self.type + shoppers.locale
        self.season = np.asarray(words.SEASON, dtype=float) ** dials.season
        self.weather = np.asarray(words.WEATHER, dtype=float) ** dials.weather
        self.weekday = WEEKDAY**dials.weekday
        #: Probability that an event with an item is a purchase; 0 outside the shop.
        good = items.quality.mean(axis=1)
        self.purchase_rate = np.where(items.domain == 0, 0.15 + 0.3 / (1 + np.exp(-3 * good)), 0.0)

    def _next_parts(self) -> np.ndarray:
        """Return ``(n_items,)``: the next part of each item's series, or -1."""
        items = self.world.items
        next_part = np.full(self.n_items, -1)
        parts = np.flatnonzero(items.series >= 0)
        parts = parts[np.lexsort((items.part[parts], items.series[parts]))]
        same_series = items.series[parts][1:] == items.series[parts][:-1]
        next_part[parts[:-1][same_series]] = parts[1:][same_series]
        return next_part

    def switch_probability(self, gap: np.ndarray) -> np.ndarray:
        """Return the probability of a switch of intent, ``gap`` seconds after the last event."""
        off = self.dials.switch == 0
        return np.where((gap > PAUSE) & (not off), 0.5, self.dials.switch)

    def unchanged_probability(self, gap: np.ndarray) -> np.ndarray:
        """Return the probability that an intent is unchanged after a gap of ``gap`` seconds."""
        return self.dials.persistence * np.where(gap > PAUSE, self.dials.memory, 1.0)

    def intent_distribution(self, shopper: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return ``(n, n_cells)``: the distribution of a new intent. Rows sum to 1."""
        shoppers = self.world.shoppers
        joined = shoppers.joined[shopper]
        age = np.clip((at - joined) / np.maximum(END - joined, 1), 0, 1)[:, None]
        taste = (1 - age) * shoppers.early[shopper] + age * shoppers.late[shopper]
        interests, domains = self.moment(shopper, at)
        curious = shoppers.curiosity[shopper][:, None]
        interest = (1 - curious) * _normal(taste * interests) + curious * _normal(interests)
        domain = shoppers.domains[shopper] * domains
        return _normal(
            (domain[:, :, None] * interest[:, None, :]).reshape(len(age), N_CELLS) * self.supply
        )

    def moment(self, shopper: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of interests by month and weather, and of domains by weekday.

        Returns:
            ``(n, n_interests)`` and ``(n, n_domains)``.
        """
        date = np.asarray(at).astype("datetime64[s]")
        month = date.astype("datetime64[M]").astype(np.int64) % 12
        days = np.clip((np.asarray(at) - START) // DAY, 0, DAYS - 1)
        weekday = (days + 6) % 7  # the calendar starts on a Sunday
        sky = self.world.weather.condition[self.world.shoppers.city[shopper], days]
        return self.season[:, month].T * self.weather[:, sky].T, self.weekday[weekday]

    def item_odds(
        self, shopper: np.ndarray, at: np.ndarray, items: np.ndarray, seen: np.ndarray
    ) -> np.ndarray:
        """Return the odds of items without regard to the intent.

        Args:
            shopper: ``(n,)`` indices of shoppers.
            at: ``(n,)`` unix seconds.
            items: ``(n, m)`` or ``(1, m)`` indices of items.
            seen: ``(n, m)`` bool: whether the shopper has met the item before.

        Returns:
            ``(n, m)`` float64; 0 for items not yet released.
        """
        shoppers, catalogue = self.world.shoppers, self.world.items
        odds = self.odds[self.type[shopper][:, None], items]
        if self.dials.price > 0:
            sensitive = self.dials.price * shoppers.price_sensitivity[shopper][:, None]
            odds = odds * np.exp(-1.5 * sensitive * self.price_score[items])
        age = np.asarray(at)[:, None] - catalogue.released[items]
        odds = odds * np.where(age < 0, 0.0, np.where(age < FRESH, self.dials.freshness, 1.0))
        return odds * np.where(seen, self.dials.revisits, 1.0)

    def item_distribution(
        self,
        shopper: np.ndarray,
        last: np.ndarray,
        items: np.ndarray,
        member: np.ndarray,
        odds: np.ndarray,
        free: np.ndarray,
    ) -> np.ndarray:
        """Return the distribution of an intent's next item.

        Args:
            shopper: ``(n,)`` indices of shoppers.
            last: ``(n,)`` index of the intent's last item, -1 if it has none.
            items: ``(n, m)`` or ``(1, m)`` indices of items that include the whole cell.
            member: ``(n, m)`` weight of each item in the cell.
            odds: ``(n, m)`` from ``item_odds``.
            free: ``(n, m)`` bool: released, and new to the shopper.

        Returns:
            ``(n, m)`` float64; rows sum to 1.
        """
        catalogue, shoppers = self.world.items, self.world.shoppers
        has_last = (last >= 0)[:, None]
        loyal = LOYAL * self.dials.loyalty * shoppers.loyalty[shopper][:, None]
        same_creator = has_last & (catalogue.creator[items] == catalogue.creator[last][:, None])
        odds = odds * member * (1 + loyal * same_creator)
        browse = _normal(odds)
        partner = has_last & (
            catalogue.kind[items] == (catalogue.kind[last][:, None] + 1) % N_KINDS
        )
        same_level = catalogue.level[items] == catalogue.level[last][:, None]
        complement = odds * (partner & (member == 1.0)) * np.where(same_level, SAME_LEVEL, 1.0)
        total = complement.sum(axis=1, keepdims=True)
        share = self.dials.complements * (total > 0)
        continues = has_last & free & (member > 0) & (items == self.next_part[last][:, None])
        part = self.dials.series * shoppers.patience[shopper][:, None]
        part = part * continues.any(axis=1, keepdims=True)
        other = share * complement / np.where(total > 0, total, 1.0) + (1 - share) * browse
        return part * continues + (1 - part) * other

    def released(self, at: np.ndarray) -> np.ndarray:
        """Return ``(n,)``: the number of released items, the first entries of ``by_release``."""
        return np.searchsorted(self.release_dates, at, side="right")


def _normal(odds: np.ndarray) -> np.ndarray:
    """Return rows scaled to sum to 1; a row of zeros is unchanged."""
    total = odds.sum(axis=-1, keepdims=True)
    return odds / np.where(total > 0, total, 1.0)


def draw(odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ``(n,)``: one column per row, drawn in proportion to the odds ``(n, m)``."""
    total = np.cumsum(odds, axis=1)
    threshold = rng.random(len(odds)) * total[:, -1]
    return np.minimum((total <= threshold[:, None]).sum(axis=1), odds.shape[1] - 1)
