"""Conversion of the bazaar's arrays to the tables of a ``Dataset``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.simulate import Trail
from m6rec_lite.data.bazaar.text import write_items
from m6rec_lite.data.bazaar.world import (
    AGES,
    CITIES,
    DAY,
    DAYS,
    GENDERS,
    OCCUPATIONS,
    START,
    Shoppers,
    Weather,
    World,
)
from m6rec_lite.data.tables import EVENTS


def categorical(codes: np.ndarray, labels: Sequence[str]) -> pd.Categorical:
    """Return ``(n,)`` codes into ``labels`` as a categorical."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(labels)))


def interactions_table(trail: Trail, first_user: int = 1) -> pd.DataFrame:
    """Return the organic events, sorted by user, then time."""
    return pd.DataFrame(
        {
            "user_id": trail.shopper + first_user,
            "item_id": trail.item.astype(np.int64) + FIRST_ITEM,
            "timestamp": trail.at,
            "event": categorical(trail.event, EVENTS),
            "value": np.ones(len(trail), dtype=np.float32),
        }
    )


def items_table(world: World, *, text: bool) -> pd.DataFrame:
    """Return the catalogue; without ``text`` it has no columns of text."""
    items = world.items
    table = pd.DataFrame(
        {
            "item_id": np.arange(len(items.domain), dtype=np.int64) + FIRST_ITEM,
            "domain": categorical(items.domain, DOMAINS),
        }
    )
    if text:
        texts = write_items(items, seed=world.dials.seed).reset_index(drop=True)
        for column in ("category", "title", "description", "tags", "creator"):
            table[column] = texts[column]
    return table.assign(price=items.price, released=items.released)


def users_table(shoppers: Shoppers) -> pd.DataFrame:
    """Return the demographic attributes of shoppers."""
    return pd.DataFrame(
        {
            "user_id": np.arange(len(shoppers), dtype=np.int64) + 1,
            "age_band": categorical(shoppers.age, AGES),
            "gender": categorical(shoppers.gender, GENDERS),
            "city": categorical(shoppers.city, CITIES),
            "occupation": categorical(shoppers.occupation, OCCUPATIONS),
            "locale": categorical(shoppers.locale, LOCALES),
        }
    )


def weather_table(weather: Weather) -> pd.DataFrame:
    """Return the weather, one row for each city and day."""
    dates = (START + np.arange(DAYS) * DAY).astype("datetime64[s]")
    return pd.DataFrame(
        {
            "city": pd.Categorical(np.repeat(CITIES, DAYS), categories=list(CITIES)),
            "date": np.tile(dates, len(CITIES)),
            "temperature": weather.temperature.ravel(),
            "condition": categorical(weather.condition.ravel(), words.CONDITIONS),
        }
    )
