"""Reviews, queries and dialogues of shoppers: which there are; ``text`` writes their texts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import text, words
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.simulate import Trail
from m6rec_lite.data.bazaar.tables import categorical
from m6rec_lite.data.bazaar.world import N_INTERESTS, World
from m6rec_lite.data.tables import EVENTS

SENTIMENTS = ("negative", "neutral", "positive")
REVIEW_RATE, QUERY_RATE = 0.06, 0.07  #: shares of events
DIALOGUE_RATE = 0.25  #: share of shoppers


def write_reviews(world: World, trail: Trail, rng: np.random.Generator) -> pd.DataFrame:
    """Return reviews of a share of the events; each names the aspect with the most effect.

    An aspect's effect on the rating is the shopper's weight of it times the item's quality in it.
    """
    strong = np.isin(trail.event, [EVENTS.index(name) for name in ("like", "cart", "purchase")])
    draws = rng.random(len(trail))
    rows = np.flatnonzero(draws < REVIEW_RATE * np.where(strong, 2.2, 0.4))
    shopper, item = trail.shopper[rows], trail.item[rows].astype(np.int64)
    _, first = np.unique(shopper * len(world.items.domain) + item, return_index=True)
    shopper, item = shopper[first], item[first]
    effects = world.shoppers.aspects[shopper] * world.items.quality[item]
    aspect = np.abs(effects).argmax(axis=1)
    largest = np.take_along_axis(effects, aspect[:, None], axis=1)[:, 0]
    others = effects.sum(axis=1) - largest
    utility = 3.2 + 4.0 * largest + 1.5 * others + 0.3 * rng.normal(size=len(largest))
    rating = np.clip(np.rint(utility), 1, 5).astype(np.int64)
    sentiment = np.where(np.abs(largest) < 0.1, 0, np.sign(largest)).astype(np.int64)
    locale = world.shoppers.locale[shopper]
    return pd.DataFrame(
        {
            "user_id": shopper + 1,
            "item_id": item + FIRST_ITEM,
            "rating": rating.astype(np.float32),
            "aspect": categorical(aspect, words.ASPECTS),
            "sentiment": categorical(sentiment + 1, SENTIMENTS),
            "text": text.write_reviews(world.items, item, rating, aspect, sentiment, locale, rng),
        }
    )


def write_queries(world: World, trail: Trail, rng: np.random.Generator) -> pd.DataFrame:
    """Return queries made seconds before a share of the events, about the intent served."""
    cell = trail.cell.astype(np.int64)
    rows = np.flatnonzero((cell >= 0) & (rng.random(len(trail)) < QUERY_RATE))
    shopper = trail.shopper[rows]
    before = np.where(rows > trail.offsets[shopper], trail.at[rows - 1], 0)
    at = np.maximum(trail.at[rows] - rng.integers(3, 40, size=len(rows)), before + 1)
    shoppers = world.shoppers
    queries = text.write_queries(
        cell[rows] % N_INTERESTS,
        shoppers.style[shopper],
        shoppers.level[shopper],
        cell[rows] // N_INTERESTS,
        shoppers.locale[shopper],
        rng,
    )
    return pd.DataFrame({"user_id": shopper + 1, "timestamp": at, "text": queries})


def write_dialogues(
    world: World, trail: Trail, items: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Return short dialogues of a share of shoppers, each about an item of their history."""
    drawn = rng.random(len(world.shoppers)) < DIALOGUE_RATE
    shopper = np.flatnonzero(drawn & (np.diff(trail.offsets) > 0))
    length = trail.offsets[shopper + 1] - trail.offsets[shopper]
    row = trail.offsets[shopper] + (rng.random(len(shopper)) * length).astype(np.int64)
    item, locale = trail.item[row].astype(np.int64), world.items.locale[trail.item[row]]
    dialogues = text.write_dialogues(world.items, items, item, locale, rng)
    return dialogues.assign(item_id=dialogues["item_id"].astype("Int64") + FIRST_ITEM)
