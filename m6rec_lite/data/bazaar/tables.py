"""The bazaar's arrays as the tables of the data contracts."""

from __future__ import annotations

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


def interactions_table(trail: Trail, first_user: int = 1) -> pd.DataFrame:
    """The organic events, by user, then time."""
    return pd.DataFrame(
        {
            "user_id": trail.shopper + first_user,
            "item_id": trail.item.astype(np.int64) + FIRST_ITEM,
            "timestamp": trail.at,
            "event": pd.Categorical.from_codes(trail.event, categories=list(EVENTS)),
            "value": np.ones(len(trail), dtype=np.float32),
        }
    )


def items_table(world: World, *, text: bool) -> pd.DataFrame:
    """The catalogue; its words are missing without ``text``."""
    items = world.items
    table = pd.DataFrame(
        {
            "item_id": np.arange(len(items.domain), dtype=np.int64) + FIRST_ITEM,
            "domain": pd.Categorical.from_codes(items.domain, categories=list(DOMAINS)),
        }
    )
    if text:
        written = write_items(items, seed=world.dials.seed).reset_index(drop=True)
        for column in ("category", "title", "description", "tags", "creator"):
            table[column] = written[column]
    return table.assign(price=items.price, released=items.released)


def users_table(shoppers: Shoppers) -> pd.DataFrame:
    """What the platform knows of its shoppers: demographics."""
    named = {
        "age_band": (shoppers.age, AGES),
        "gender": (shoppers.gender, GENDERS),
        "city": (shoppers.city, CITIES),
        "occupation": (shoppers.occupation, OCCUPATIONS),
        "locale": (shoppers.locale, LOCALES),
    }
    columns = {
        name: pd.Categorical.from_codes(codes, categories=list(labels))
        for name, (codes, labels) in named.items()
    }
    return pd.DataFrame({"user_id": np.arange(len(shoppers), dtype=np.int64) + 1} | columns)


def weather_table(weather: Weather) -> pd.DataFrame:
    """One row a city and day."""
    dates = (START + np.arange(DAYS) * DAY).astype("datetime64[s]")
    return pd.DataFrame(
        {
            "city": pd.Categorical(np.repeat(CITIES, DAYS), categories=list(CITIES)),
            "date": np.tile(dates, len(CITIES)),
            "temperature": weather.temperature.ravel(),
            "condition": pd.Categorical.from_codes(
                weather.condition.ravel(), categories=list(words.CONDITIONS)
            ),
        }
    )
