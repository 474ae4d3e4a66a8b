"""What shoppers say: which reviews, queries and dialogues there are, before ``text`` words them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import text, words
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.simulate import Trail
from m6rec_lite.data.bazaar.world import N_INTERESTS, World
from m6rec_lite.data.tables import EVENTS

SENTIMENTS = ("negative", "neutral", "positive")
REVIEWED, ASKED, TALKED = 0.06, 0.07, 0.25  #: shares of events, of events, and of shoppers


def write_reviews(world: World, trail: Trail, rng: np.random.Generator) -> pd.DataFrame:
    """Reviews of a share of what was met; each names the aspect that moved its rating most.

    An aspect moves the rating by the shopper's care for it times the item's quality in it.
    """
    keen = np.isin(trail.event, [EVENTS.index(name) for name in ("like", "cart", "purchase")])
    luck = rng.random(len(trail))
    rows = np.flatnonzero(luck < REVIEWED * np.where(keen, 2.2, 0.4))
    shopper, item = trail.shopper[rows], trail.item[rows].astype(np.int64)
    _, once = np.unique(shopper * len(world.items.domain) + item, return_index=True)
    shopper, item = shopper[once], item[once]
    moved = world.shoppers.aspects[shopper] * world.items.quality[item]
    aspect = np.abs(moved).argmax(axis=1)
    by = np.take_along_axis(moved, aspect[:, None], axis=1)[:, 0]
    felt = 3.2 + 4.0 * by + 1.5 * (moved.sum(axis=1) - by) + 0.3 * rng.normal(size=len(by))
    rating = np.clip(np.rint(felt), 1, 5).astype(np.int64)
    sentiment = np.where(np.abs(by) < 0.1, 0, np.sign(by)).astype(np.int64)
    locale = world.shoppers.locale[shopper]
    return pd.DataFrame(
        {
            "user_id": shopper + 1,
            "item_id": item + FIRST_ITEM,
            "rating": rating.astype(np.float32),
            "aspect": pd.Categorical.from_codes(aspect, categories=list(words.ASPECTS)),
            "sentiment": pd.Categorical.from_codes(sentiment + 1, categories=list(SENTIMENTS)),
            "text": text.write_reviews(world.items, item, rating, aspect, sentiment, locale, rng),
        }
    )


def write_queries(world: World, trail: Trail, rng: np.random.Generator) -> pd.DataFrame:
    """Words typed seconds before a share of the events: the intent that the event then serves."""
    cell = trail.cell.astype(np.int64)
    rows = np.flatnonzero((cell >= 0) & (rng.random(len(trail)) < ASKED))
    shopper = trail.shopper[rows]
    before = np.where(rows > trail.offsets[shopper], trail.at[rows - 1], 0)
    at = np.maximum(trail.at[rows] - rng.integers(3, 40, size=len(rows)), before + 1)
    shoppers = world.shoppers
    typed = text.write_queries(
        cell[rows] % N_INTERESTS,
        shoppers.style[shopper],
        shoppers.level[shopper],
        cell[rows] // N_INTERESTS,
        shoppers.locale[shopper],
        rng,
    )
    return pd.DataFrame({"user_id": shopper + 1, "timestamp": at, "text": typed})


def write_dialogues(
    world: World, trail: Trail, items: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Short talks of a share of shoppers, each about an item that the shopper chose."""
    some = np.flatnonzero((rng.random(len(world.shoppers)) < TALKED) & (np.diff(trail.offsets) > 0))
    length = trail.offsets[some + 1] - trail.offsets[some]
    row = trail.offsets[some] + (rng.random(len(some)) * length).astype(np.int64)
    item, locale = trail.item[row].astype(np.int64), world.items.locale[trail.item[row]]
    talks = text.write_dialogues(world.items, items, item, locale, rng)
    place = pd.array(talks["item_id"], dtype="Int64")
    return talks.assign(item_id=place + FIRST_ITEM)
