"""The tables every data set is made of, and the errors that say which row breaks the contract.

A data set is a handful of pandas tables (``Dataset``). Each table has a contract (``TABLES``): its
columns, their types, which of them may be missing. ``validate`` holds a table against its contract
and raises ``DataError`` with the file, the column, the first offending rows and the mend.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

#: Events in order of strength, weakest first. A code is a place in this tuple. When repeated
#: events of a user with an item collapse into one, the strongest is kept.
EVENTS: tuple[str, ...] = ("view", "click", "rate", "like", "cart", "purchase")


class DataError(ValueError):
    """Data that break their contract; the message says where, which rows, and how to mend them."""


@dataclass(frozen=True)
class Card:
    """Where a data set comes from and what to know before using it.

    Attributes:
        title: full name.
        licence: what may be done with it, in a sentence.
        source: who publishes it.
        quirks: what surprises people, a sentence each.
        version: of the data (the bazaar's world has versions), or "".
    """

    title: str
    licence: str
    source: str
    quirks: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named set of tables that keep the contracts in ``TABLES``; optional tables may be None.

    ``oracle`` knows the hidden truth of a simulated world; it is None for real data.
    """

    name: str
    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    card: Card
    impressions: pd.DataFrame | None = None
    queries: pd.DataFrame | None = None
    weather: pd.DataFrame | None = None
    reviews: pd.DataFrame | None = None
    dialogues: pd.DataFrame | None = None
    oracle: Any = field(default=None, repr=False)
