"""How a shopper chooses: the probabilities that both the simulator and the oracle use.

The simulator draws from these functions and the oracle reports them, so the oracle's numbers are
the simulator's own. Two intents are kept at a time. An event serves one of them:

1. with probability ``noise`` it is anything released; with ``repeats``, a purchase made again;
2. else the shopper stays with the intent of the last event or switches to the other;
3. the intent is still the same, or drawn anew: an interest (taste, month, weather) in a domain;
4. an item of that cell follows: the next part of a series, what goes with the last item, or
   anything there, by style, level, price, creator, popularity and novelty.
"""

from __future__ import annotations

import numpy as np

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import LEVELS
from m6rec_lite.data.bazaar.world import DAY, DAYS, END, N_CELLS, N_KINDS, START, World

PAUSE = 6 * 3600  #: seconds after which a session is over
SECOND = 0.4  #: weight of an item in the cell of its second interest
LOYAL = 6.0  #: odds that the most loyal shopper adds to the creator of the last item
SAME_LEVEL = 3.0  #: odds that a complement has the level of the last item
FRESH = 45 * DAY
#: Domains (columns) by weekday, Monday first: courses on weekdays, videos and music at weekends.
WEEKDAY = np.array(
    [[0.9, 1.2, 0.8, 0.9, 1.4]] * 4 + [[1.0, 1.0, 1.2, 1.2, 0.8]] + [[1.4, 0.7, 1.4, 1.2, 0.6]] * 2
)


class Choice:
    """The probabilities of one world. ``shopper`` arguments are places, ``at`` unix seconds."""

    def __init__(self, world: World) -> None:
        self.world, self.dials = world, world.dials
        items, dials = world.items, world.dials
        n = len(items.domain)
        self.n_items = n
        cells = world.cells
        second = items.domain.astype(np.int64) * len(words.INTERESTS) + items.second
        self.member = np.zeros((N_CELLS, n))
        has = items.second >= 0
        self.member[second[has], np.flatnonzero(has)] = SECOND
        self.member[cells, np.arange(n)] = 1.0
        open_early = np.zeros((N_CELLS, n), dtype=bool)
        open_early[cells, np.arange(n)] = items.released <= START
        # Wanted as often as it has early items, all else equal; so never one without any.
        self.supply = open_early.sum(axis=1).astype(float)
        # The items of each cell, padded with others at weight 0.
        width = int((self.member > 0).sum(axis=1).max())
        self.cell_items = np.argsort(self.member == 0, axis=1, kind="stable")[:, :width]
        self.cell_member = np.take_along_axis(self.member, self.cell_items, axis=1)

        logs = np.log(np.where(np.isnan(items.price), 1.0, items.price))
        self.dearness = np.zeros(n)
        for domain in (0, 4):
            sold = items.domain == domain
            if sold.any():
                self.dearness[sold] = (logs[sold] - logs[sold].mean()) / (logs[sold].std() + 1e-9)
        self.next_part = self._next_parts()
        self.by_release = np.argsort(items.released, kind="stable")
        self.release_dates = items.released[self.by_release]
        # Odds of each item for each kind of shopper: (style, level, locale) as one number.
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
        #: Odds that an item of the shop is bought at once; fixed by its quality.
        good = items.quality.mean(axis=1)
        self.buys = np.where(items.domain == 0, 0.15 + 0.3 / (1 + np.exp(-3 * good)), 0.0)

    def _next_parts(self) -> np.ndarray:
        """``(n_items,)``: the item that continues the series, or -1."""
        items = self.world.items
        following = np.full(self.n_items, -1)
        told = np.flatnonzero(items.series >= 0)
        told = told[np.lexsort((items.part[told], items.series[told]))]
        same = items.series[told][1:] == items.series[told][:-1]
        following[told[:-1][same]] = told[1:][same]
        return following

    def switches(self, gap: np.ndarray) -> np.ndarray:
        """Probability of turning to the other intent, ``gap`` seconds after the last event."""
        off = self.dials.switch == 0
        return np.where((gap > PAUSE) & (not off), 0.5, self.dials.switch)

    def persists(self, gap: np.ndarray) -> np.ndarray:
        """Probability that an intent last served ``gap`` seconds ago is still the same."""
        return self.dials.persistence * np.where(gap > PAUSE, self.dials.memory, 1.0)

    def wants(self, shopper: np.ndarray, at: np.ndarray) -> np.ndarray:
        """``(n, n_cells)``: where a new intent goes. Rows sum to 1."""
        shoppers = self.world.shoppers
        date = np.asarray(at).astype("datetime64[s]")
        month = date.astype("datetime64[M]").astype(np.int64) % 12
        days = np.clip((np.asarray(at) - START) // DAY, 0, DAYS - 1)
        weekday = (days + 6) % 7  # the calendar starts on a Sunday
        sky = self.world.weather.condition[shoppers.city[shopper], days]
        joined = shoppers.joined[shopper]
        age = np.clip((at - joined) / np.maximum(END - joined, 1), 0, 1)[:, None]
        taste = (1 - age) * shoppers.early[shopper] + age * shoppers.late[shopper]
        now = self.season[:, month].T * self.weather[:, sky].T
        curious = shoppers.curiosity[shopper][:, None]
        interest = (1 - curious) * _normal(taste * now) + curious * _normal(now)
        domain = shoppers.domains[shopper] * self.weekday[weekday]
        return _normal(
            (domain[:, :, None] * interest[:, None, :]).reshape(len(now), N_CELLS) * self.supply
        )

    def likes(
        self, shopper: np.ndarray, at: np.ndarray, items: np.ndarray, seen: np.ndarray
    ) -> np.ndarray:
        """Odds of items by themselves, whatever the intent: ``(n, m)`` for ``items`` (n or 1, m).

        ``seen`` is ``(n, m)`` bool. Items not yet released have odds 0.
        """
        shoppers, catalogue = self.world.shoppers, self.world.items
        odds = self.odds[self.type[shopper][:, None], items]
        if self.dials.price > 0:
            sensitive = self.dials.price * shoppers.price_sensitivity[shopper][:, None]
            odds = odds * np.exp(-1.5 * sensitive * self.dearness[items])
        age = np.asarray(at)[:, None] - catalogue.released[items]
        odds = odds * np.where(age < 0, 0.0, np.where(age < FRESH, self.dials.freshness, 1.0))
        return odds * np.where(seen, self.dials.revisits, 1.0)

    def follows(
        self,
        shopper: np.ndarray,
        last: np.ndarray,
        items: np.ndarray,
        member: np.ndarray,
        odds: np.ndarray,
        free: np.ndarray,
    ) -> np.ndarray:
        """``(n, m)``: the item of an intent, given its last item (-1: none). Rows sum to 1.

        Args:
            shopper: ``(n,)`` places.
            last: ``(n,)`` the item that the intent met last, or -1.
            items: ``(n or 1, m)`` places of the items asked about, the whole cell among them.
            member: ``(n, m)`` how much each item belongs to the cell.
            odds: ``(n, m)`` from ``likes``.
            free: ``(n, m)`` bool: released, and new to the shopper.
        """
        catalogue, shoppers = self.world.items, self.world.shoppers
        has = (last >= 0)[:, None]
        loyal = LOYAL * self.dials.loyalty * shoppers.loyalty[shopper][:, None]
        same_creator = has & (catalogue.creator[items] == catalogue.creator[last][:, None])
        odds = odds * member * (1 + loyal * same_creator)
        browse = _normal(odds)
        partner = has & (catalogue.kind[items] == (catalogue.kind[last][:, None] + 1) % N_KINDS)
        same_level = catalogue.level[items] == catalogue.level[last][:, None]
        goes_with = odds * (partner & (member == 1.0)) * np.where(same_level, SAME_LEVEL, 1.0)
        some = goes_with.sum(axis=1, keepdims=True)
        share = self.dials.complements * (some > 0)
        continues = has & free & (member > 0) & (items == self.next_part[last][:, None])
        part = self.dials.series * shoppers.patience[shopper][:, None]
        part = part * continues.any(axis=1, keepdims=True)
        together = share * goes_with / np.where(some > 0, some, 1.0) + (1 - share) * browse
        return part * continues + (1 - part) * together

    def released(self, at: np.ndarray) -> np.ndarray:
        """``(n,)``: how many items are out; they are the first so many of ``by_release``."""
        return np.searchsorted(self.release_dates, at, side="right")


def _normal(odds: np.ndarray) -> np.ndarray:
    """Rows scaled to sum to 1; a row of zeros stays zero."""
    total = odds.sum(axis=-1, keepdims=True)
    return odds / np.where(total > 0, total, 1.0)


def draw(odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One column a row, with probability in proportion to the odds."""
    total = np.cumsum(odds, axis=1)
    mark = rng.random(len(odds)) * total[:, -1]
    return np.minimum((total <= mark[:, None]).sum(axis=1), odds.shape[1] - 1)
