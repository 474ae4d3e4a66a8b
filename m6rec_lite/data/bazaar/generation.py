"""Generation of a bazaar from its parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import talk
from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.dials import Dials
from m6rec_lite.data.bazaar.exposure import log_slates
from m6rec_lite.data.bazaar.oracle import Oracle
from m6rec_lite.data.bazaar.simulate import Trail, draw_block, simulate
from m6rec_lite.data.bazaar.storage import card
from m6rec_lite.data.bazaar.tables import (
    interactions_table,
    items_table,
    users_table,
    weather_table,
)
from m6rec_lite.data.bazaar.world import Shoppers, draw_world
from m6rec_lite.data.contracts import validate
from m6rec_lite.data.tables import Dataset


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
    trail = simulate(Choice(world), rng[0], progress=progress)
    blocks, draws = [(world, trail)], [rng[2:]]
    for number in range(1, parameters.blocks):
        shoppers, trail = draw_block(world, number)
        blocks.append((replace(world, shoppers=shoppers), trail))
        draws.append([np.random.default_rng([parameters.seed, k, number]) for k in range(102, 105)])
    oracle = Oracle(
        replace(world, shoppers=Shoppers.concatenate([part.shoppers for part, _ in blocks])),
        Trail.concatenate([trail for _, trail in blocks]),
    )
    tables: dict[str, pd.DataFrame] = {
        "interactions": interactions_table(oracle.trail),
        "items": items_table(world, text=text),
        "users": users_table(oracle.world.shoppers),
        "weather": weather_table(world.weather),
    }
    if parameters.slates > 0:  # of the first block: the pages of further blocks take too long
        tables["impressions"] = log_slates(Oracle(*blocks[0]), rng[1], progress=progress)
    if text:
        items = tables["items"]
        for name, write in (
            ("reviews", lambda part, trail, draw: talk.write_reviews(part, trail, draw[0])),
            ("queries", lambda part, trail, draw: talk.write_queries(part, trail, draw[1])),
            (
                "dialogues",
                lambda part, trail, draw: talk.write_dialogues(part, trail, items, draw[2]),
            ),
        ):
            tables[name] = _join(
                [write(*block, draw) for block, draw in zip(blocks, draws, strict=True)],
                parameters.users,
            )
    checked: dict[str, Any] = {
        name: validate(name, table, source=name) for name, table in tables.items()
    }
    return Dataset(name="bazaar", card=card(parameters), oracle=oracle, **checked)


def _join(parts: list[pd.DataFrame], users: int) -> pd.DataFrame:
    """Return the tables of all blocks as one, with consecutive users and dialogues."""
    n_dialogues = 0
    for number, part in enumerate(parts):
        if "user_id" in part:
            part["user_id"] += number * users
        if "dialogue_id" in part:
            part["dialogue_id"] += n_dialogues
            n_dialogues = int(part["dialogue_id"].max()) if len(part) else n_dialogues
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
