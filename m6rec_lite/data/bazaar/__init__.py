"""The bazaar: a simulated open-domain platform with known choice probabilities.

``load`` reads the data set that ships with the course; ``generate`` simulates another one from
parameters (``Dials``) and a seed. Both return a ``Dataset`` with an ``oracle``.

    world        items, shoppers and weather
    choice       probabilities of a shopper's next event
    simulate     organic events, drawn from these probabilities
    oracle       the same probabilities as a model
    exposure     slates by a logging policy of known propensities, and their clicks
    talk         which reviews, queries and dialogues there are
    text         titles, descriptions, and the text of reviews, queries and dialogues
    storage      Parquet files
    stream       a hundred million interactions in bounded memory
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import talk
from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.dials import WORLD_VERSION, Dials
from m6rec_lite.data.bazaar.exposure import FrontPage, log_slates
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle, Response
from m6rec_lite.data.bazaar.simulate import simulate
from m6rec_lite.data.bazaar.storage import card, load, save, tables_hash
from m6rec_lite.data.bazaar.tables import (
    interactions_table,
    items_table,
    users_table,
    weather_table,
)
from m6rec_lite.data.bazaar.world import draw_world
from m6rec_lite.data.contracts import validate
from m6rec_lite.data.tables import Dataset

__all__ = [
    "FIRST_ITEM",
    "WORLD_VERSION",
    "Dials",
    "FrontPage",
    "Oracle",
    "Response",
    "generate",
    "load",
    "save",
    "tables_hash",
]


def generate(*, text: bool = True, progress: bool = True, **dials: Any) -> Dataset:
    """Simulate a bazaar.

    Args:
        text: whether to write titles, descriptions, reviews, queries and dialogues. If not, those
            columns are missing and those tables are None; everything else is the same.
        progress: whether to show a progress bar.
        **dials: any of the parameters in ``Dials``, such as ``users=2000, seed=1, drift=0``.

    Returns:
        A ``Dataset`` named ``bazaar``, with its oracle.

    Raises:
        ValueError: if a parameter is unknown or out of range.
    """
    parameters = Dials.of(**dials)
    world = draw_world(parameters)
    rng = [np.random.default_rng([parameters.seed, number]) for number in range(3, 8)]
    oracle = Oracle(world, simulate(Choice(world), rng[0], progress=progress))
    tables: dict[str, pd.DataFrame] = {
        "interactions": interactions_table(oracle.trail),
        "items": items_table(world, text=text),
        "users": users_table(world.shoppers),
        "weather": weather_table(world.weather),
    }
    if parameters.slates > 0:
        tables["impressions"] = log_slates(oracle, rng[1], progress=progress)
    if text:
        tables["reviews"] = talk.write_reviews(world, oracle.trail, rng[2])
        tables["queries"] = talk.write_queries(world, oracle.trail, rng[3])
        tables["dialogues"] = talk.write_dialogues(world, oracle.trail, tables["items"], rng[4])
    checked: dict[str, Any] = {
        name: validate(name, table, source=name) for name, table in tables.items()
    }
    return Dataset(name="bazaar", card=card(parameters), oracle=oracle, **checked)
