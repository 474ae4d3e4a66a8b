"""Measured effects of the dials of the bazaar.

Each effect is a statistic of the organic log that depends on its dial. ``measure`` computes it in
the given world and in a world that differs only in this dial, which is off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.data import bazaar
from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.oracle import Oracle
from m6rec_lite.data.bazaar.world import DAY, DAYS, N_KINDS, START


class Log:
    """An organic log with its latent variables: arrays with one entry for each event.

    Args:
        oracle: oracle of the world.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.items, self.shoppers = oracle.world.items, oracle.world.shoppers
        self.weather = oracle.world.weather
        trail = oracle.trail
        self.item, self.at, self.who = trail.item, trail.at, trail.shopper
        self.cell, self.intent = trail.cell, trail.intent
        self.interest = self.items.interest[self.item]
        self.domain = self.items.domain[self.item]

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """``(n_pairs,)`` twice: consecutive events of one shopper and intent.

        Both are in the same cell (domain and interest), within six hours.
        """
        served = np.flatnonzero(self.cell >= 0)
        order = served[np.lexsort((self.at[served], self.intent[served], self.who[served]))]
        first, then = order[:-1], order[1:]
        same = (self.who[first] == self.who[then]) & (self.intent[first] == self.intent[then])
        same &= self.cell[first] == self.cell[then]
        same &= self.at[then] - self.at[first] < 6 * 3600
        return first[same], then[same]

    @cached_property
    def again(self) -> np.ndarray:
        """``(n,)`` bool: whether the shopper has an earlier event with this item."""
        pair = self.who.astype(np.int64) * len(self.items.domain) + self.item
        seen = np.ones(len(pair), dtype=bool)
        seen[np.unique(pair, return_index=True)[1]] = False
        return seen

    def months(self) -> np.ndarray:
        """Return the ``(n,)`` months of the events, 0 for January."""
        return self.at.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12


def _same_intent(log: Log) -> float:
    """Share of next events of an intent within six hours that are in the same cell."""
    served = np.flatnonzero(log.cell >= 0)
    order = served[np.lexsort((log.at[served], log.intent[served], log.who[served]))]
    first, then = order[:-1], order[1:]
    near = (log.who[first] == log.who[then]) & (log.intent[first] == log.intent[then])
    near &= log.at[then] - log.at[first] < 6 * 3600
    return float((log.cell[first] == log.cell[then])[near].mean())


def _pause(log: Log) -> float:
    """Ratio of shared interests of consecutive events, within a session to across sessions."""
    same = log.interest[1:] == log.interest[:-1]
    own = log.who[1:] == log.who[:-1]
    short = log.at[1:] - log.at[:-1] < 6 * 3600
    return float(same[own & short].mean() / same[own & ~short].mean())


def _switching(log: Log) -> float:
    """Share of consecutive events within six hours with different intents."""
    own = (log.who[1:] == log.who[:-1]) & (log.at[1:] - log.at[:-1] < 6 * 3600)
    own &= (log.cell[1:] >= 0) & (log.cell[:-1] >= 0)
    return float((log.intent[1:] != log.intent[:-1])[own].mean())


def _complements(log: Log) -> float:
    """Share of pairs of one intent whose second item is of the complementary kind."""
    first, then = log.pairs
    kind = log.items.kind[log.item]
    return float((kind[then] == (kind[first] + 1) % N_KINDS).mean())


def _series(log: Log) -> float:
    """Share of parts n of a series after which part n + 1 is the intent's next item."""
    first, then = log.pairs
    series, part = log.items.series[log.item], log.items.part[log.item]
    last = np.zeros(series.max(initial=-1) + 2, dtype=np.int64)
    np.maximum.at(last, log.items.series, log.items.part)
    open_ended = (series[first] >= 0) & (part[first] < last[series[first]])
    follows = (series[then] == series[first]) & (part[then] == part[first] + 1)
    return float(follows[open_ended].mean())


def _repeats(log: Log) -> float:
    """Share of events with an item of an earlier event of the shopper."""
    return float(log.again.mean())


def _season(log: Log) -> float:
    """Share of an interest in its three best months over that in its three worst."""
    table = np.zeros((words.SEASON.shape[0], 12))
    np.add.at(table, (log.interest, log.months()), 1)
    share = table / table.sum(axis=0)
    order = np.argsort(words.SEASON, axis=1, kind="stable")
    worst = np.take_along_axis(share, order[:, :3], axis=1).sum()
    best = np.take_along_axis(share, order[:, -3:], axis=1).sum()
    return float(best / worst)


def _weather(log: Log) -> float:
    """Share of an interest in its best weather over that in its worst."""
    days = np.clip((log.at - START) // DAY, 0, DAYS - 1)
    sky = log.weather.condition[log.shoppers.city[log.who], days]
    table = np.zeros(words.WEATHER.shape)
    np.add.at(table, (log.interest, sky), 1)
    share = table / table.sum(axis=0)
    rows = np.arange(len(share))
    best, worst = words.WEATHER.argmax(axis=1), words.WEATHER.argmin(axis=1)
    return float(share[rows, best].sum() / share[rows, worst].sum())


def _weekday(log: Log) -> float:
    """Share of courses from Monday to Thursday over that on Saturday and Sunday."""
    day = ((log.at - START) // DAY + 6) % 7  # the calendar starts on a Sunday
    courses = log.domain == 4
    return float(courses[day < 4].mean() / courses[day > 4].mean())


def _style(log: Log) -> float:
    """Share of events with an item of the shopper's own style."""
    return float((log.items.style[log.item] == log.shoppers.style[log.who]).mean())


def _level(log: Log) -> float:
    """Share of events with an item of the shopper's own level."""
    return float((log.items.level[log.item] == log.shoppers.level[log.who]).mean())


def _price(log: Log) -> float:
    """Mean price of the least price-sensitive quarter over that of the most sensitive."""
    price = log.items.price[log.item]
    sold = ~np.isnan(price)
    sensitivity = log.shoppers.price_sensitivity[log.who]
    low, high = np.quantile(log.shoppers.price_sensitivity, [0.25, 0.75])
    return float(
        price[sold & (sensitivity <= low)].mean() / price[sold & (sensitivity >= high)].mean()
    )


def _loyalty(log: Log) -> float:
    """Share of pairs of one intent outside series by the same creator."""
    first, then = log.pairs
    no_series = log.items.series[log.item[first]] < 0
    creator = log.items.creator[log.item]
    return float((creator[then] == creator[first])[no_series].mean())


def _curiosity(log: Log) -> float:
    """Share of events with an interest outside the shopper's taste."""
    known = (log.shoppers.early + log.shoppers.late) > 0
    return float((~known[log.who, log.interest]).mean())


def _drift(log: Log) -> float:
    """Overlap (0 to 1) of the interests in the first and the last third of a shopper's log."""
    count = np.bincount(log.who, minlength=len(log.shoppers))
    first = np.cumsum(count) - count
    rank = np.arange(len(log.who)) - first[log.who]
    n = words.SEASON.shape[0]
    tables = []
    for mask in (rank * 3 < count[log.who], rank * 3 >= 2 * count[log.who]):
        table = np.zeros((len(count), n))
        np.add.at(table, (log.who[mask], log.interest[mask]), 1)
        tables.append(table / np.maximum(table.sum(axis=1, keepdims=True), 1))
    long = count >= 30
    return float(np.minimum(*tables)[long].sum(axis=1).mean())


def _zipf(log: Log) -> float:
    """Share of all events with the most popular tenth of the items."""
    count = np.sort(np.bincount(log.item, minlength=len(log.items.domain)))[::-1]
    return float(count[: len(count) // 10].sum() / count.sum())


def _freshness(log: Log) -> float:
    """Events of an item in its first 45 days over those in the next 45 (late releases)."""
    released = log.items.released[log.item]
    age = (log.at - released) // DAY
    late = (released > START) & (released < START + (DAYS - 90) * DAY)
    return float((late & (age < 45)).sum() / max((late & (age >= 45) & (age < 90)).sum(), 1))


def _late(log: Log) -> float:
    """Share of items released after the start of the log."""
    return float((log.items.released > START).mean())


def _chinese(log: Log) -> float:
    """Share of items whose text is Chinese."""
    return float((log.items.locale == 1).mean())


def _new_users(log: Log) -> float:
    """Share of shoppers with fewer than eight events."""
    return float((log.shoppers.events < 8).mean())


@dataclass(frozen=True)
class Effect:
    """A dial, the value that turns it off, and the statistic that it moves."""

    dial: str
    off: float
    statistic: Callable[[Log], float]

    @property
    def what(self) -> str:
        """Description of the statistic, without a full stop."""
        return (self.statistic.__doc__ or "").strip().rstrip(".")


EFFECTS: tuple[Effect, ...] = (
    Effect("persistence", 0.0, _same_intent),
    Effect("switch", 0.0, _switching),
    Effect("memory", 1.0, _pause),
    Effect("complements", 0.0, _complements),
    Effect("series", 0.0, _series),
    Effect("repeats", 0.0, _repeats),
    Effect("loyalty", 0.0, _loyalty),
    Effect("style", 1.0, _style),
    Effect("level", 1.0, _level),
    Effect("price", 0.0, _price),
    Effect("curiosity", 0.0, _curiosity),
    Effect("drift", 0.0, _drift),
    Effect("season", 0.0, _season),
    Effect("weather", 0.0, _weather),
    Effect("weekday", 0.0, _weekday),
    Effect("zipf", 0.0, _zipf),
    Effect("freshness", 1.0, _freshness),
    Effect("late", 0.0, _late),
    Effect("new_users", 0.0, _new_users),
    Effect("chinese", 0.0, _chinese),
)


def measure(oracle: Oracle, *, progress: bool = True) -> pd.DataFrame:
    """Measure every effect in a world, and in the same world with its dial off.

    Args:
        oracle: oracle of the world; its dials and seed define the other worlds.
        progress: whether to show a progress bar; each effect generates a world.

    Returns:
        Columns ``dial value off statistic here without``.
    """
    here = Log(oracle)
    dials = oracle.world.dials.as_dict() | {"slates": 0}
    rows = []
    for effect in tqdm(EFFECTS, desc="effects", disable=not progress, leave=False):
        changed = dials | {effect.dial: effect.off}
        other = bazaar.generate(text=False, progress=False, **changed)
        rows.append(
            {
                "dial": effect.dial,
                "value": dials[effect.dial],
                "off": effect.off,
                "statistic": effect.what,
                "here": effect.statistic(here),
                "without": effect.statistic(Log(other.oracle)),
            }
        )
    return pd.DataFrame(rows)
