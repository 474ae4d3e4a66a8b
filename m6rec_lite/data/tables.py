"""The tables every data set is made of, and the contracts that they keep.

A data set is a handful of pandas tables (``Dataset``). Each table has a contract (``TABLES``): its
columns, their types, which of them may be missing. ``m6rec_lite.data.contracts.validate`` holds a
table against its contract and raises ``DataError`` with the file, the column, the first offending
rows and the mend.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

#: Events in order of strength, weakest first. A code is a place in this tuple. When repeated
#: events of a user with an item collapse into one, the strongest is kept.
EVENTS: tuple[str, ...] = ("view", "click", "rate", "like", "cart", "purchase")


class NotFittedError(RuntimeError):
    """A model was used before it was fitted."""


class DataError(ValueError):
    """Data that break their contract; the message says where, which rows, and how to mend them."""


@dataclass(frozen=True)
class Column:
    """What one column must hold.

    Attributes:
        kind: ``id`` (int64 or text), ``time`` (int64 unix seconds), ``integer`` (int64), ``small``
            (int8), ``number`` (float32), ``flag`` (bool), ``text`` (str), ``category``, ``event``
            (category over ``EVENTS``), ``tags`` (list of str) or ``date`` (datetime64[s]).
            Integer kinds whose values may be missing are pandas' nullable ``Int64``.
        values: ``required`` in every row; or ``optional``: may be missing.
        column: whether the column itself must exist: ``required``; ``filled`` with missing values
            where it does not; ``optional``: left out.
        low: least value allowed.
        high: greatest value allowed.
    """

    kind: str
    values: str = "required"
    column: str = "required"
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Table:
    """The contract of a table: its columns, and those that together may not repeat."""

    columns: dict[str, Column]
    key: tuple[str, ...] = ()


_ID, _TIME, _TEXT = Column("id"), Column("time", low=0), Column("text")
_SHARE = Column("number", low=0.0, high=1.0)
_ABSENT_TEXT = Column("text", values="optional", column="filled")
_ABSENT_LABEL = Column("category", values="optional", column="filled")
_IF_KNOWN = Column("category", values="optional", column="optional")

#: The contract of every table, by the name that it has in ``Dataset``.
TABLES: dict[str, Table] = {
    "interactions": Table(
        {
            "user_id": _ID,
            "item_id": _ID,
            "timestamp": _TIME,
            "event": Column("event"),
            "value": Column("number"),
        },
        key=("user_id", "item_id", "timestamp", "event"),
    ),
    "items": Table(
        {
            "item_id": _ID,
            "domain": _ABSENT_LABEL,
            "category": _ABSENT_LABEL,
            "title": _ABSENT_TEXT,
            "description": _ABSENT_TEXT,
            "tags": Column("tags", values="optional", column="filled"),
            "creator": _ABSENT_TEXT,
            "price": Column("number", values="optional", column="filled", low=0.0),
            "released": Column("time", values="optional", column="filled"),
        },
        key=("item_id",),
    ),
    "users": Table(
        {
            "user_id": _ID,
            "age_band": _IF_KNOWN,
            "gender": _IF_KNOWN,
            "city": _IF_KNOWN,
            "occupation": _IF_KNOWN,
            "locale": _IF_KNOWN,
        },
        key=("user_id",),
    ),
    "impressions": Table(
        {
            "slate_id": _ID,
            "user_id": _ID,
            "item_id": _ID,
            "timestamp": _TIME,
            "position": Column("small", low=0, high=127),
            "propensity": _SHARE,
            "examination": _SHARE,
            "clicked": Column("flag"),
            "purchased": Column("flag"),
        },
        key=("slate_id", "position"),
    ),
    "queries": Table({"user_id": _ID, "timestamp": _TIME, "text": _TEXT}),
    "weather": Table(
        {
            "city": Column("category"),
            "date": Column("date"),
            "temperature": Column("number", low=-90.0, high=60.0),
            "condition": Column("category"),
        },
        key=("city", "date"),
    ),
    "reviews": Table(
        {
            "user_id": _ID,
            "item_id": _ID,
            "rating": Column("number"),
            "aspect": Column("category", values="optional"),
            "sentiment": Column("category", values="optional"),
            "text": _TEXT,
        }
    ),
    "dialogues": Table(
        {
            "dialogue_id": _ID,
            "turn": Column("integer", low=0),
            "speaker": Column("category"),
            "text": _TEXT,
            "item_id": Column("id", values="optional", column="filled"),
        },
        key=("dialogue_id", "turn"),
    ),
}


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


@dataclass(frozen=True)
class Dropped:
    """Rows that a reader left out, because it was told ``on_bad_rows="drop"``.

    Attributes:
        source: the file, or the table's name.
        column: the column at fault (several joined by a comma).
        problem: what was wrong.
        rows: how many rows went.
        first: labels of the first few, counted from 0 after the header.
    """

    source: str
    column: str
    problem: str
    rows: int
    first: tuple[int, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.source}: dropped {self.rows} row{'s' if self.rows > 1 else ''}, column "
            f"{self.column}: {self.problem}; first {list(self.first)}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A named set of tables that keep the contracts in ``TABLES``; optional tables may be None.

    ``oracle`` knows the hidden truth of a simulated world; it is None for real data. ``dropped``
    says what a reader left out under ``on_bad_rows="drop"``. ``has_time`` is False where the number
    of the row stands in for a time that the data lack.
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
    oracle: Any = field(default=None)
    has_time: bool = True
    dropped: tuple[Dropped, ...] = ()

    @property
    def has_text(self) -> bool:
        """Whether some item has a title."""
        return "title" in self.items and bool(self.items["title"].notna().any())

    @property
    def has_users(self) -> bool:
        """Whether something is known of the users beside their ids."""
        return bool(self.users.drop(columns="user_id").notna().to_numpy().any())

    @property
    def has_oracle(self) -> bool:
        """Whether the truth behind the log is known, as only a simulator knows it."""
        return self.oracle is not None

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that this data set has, by name."""
        found = {name: getattr(self, name) for name in TABLES}
        return {name: table for name, table in found.items() if table is not None}

    def counts(self) -> dict[str, int | float | str]:
        """Facts measured on the rows: sizes, first and last day, and how many rows are tied.

        ``tied_rows`` is the share of interactions that share their timestamp with another row of
        the same user: there the order of the file decides what came next.
        """
        rows = self.interactions
        facts: dict[str, int | float | str] = {
            "interactions": len(rows),
            "users": int(rows["user_id"].nunique()),
            "items": int(rows["item_id"].nunique()),
            "items_in_catalogue": len(self.items),
        }
        facts |= {n: len(t) for n, t in self.tables.items() if n not in facts and n != "users"}
        if len(rows):
            days = np.array([rows["timestamp"].min(), rows["timestamp"].max()], "datetime64[s]")
            facts["first_day"], facts["last_day"] = map(str, days.astype("datetime64[D]"))
            tied = rows.duplicated(["user_id", "timestamp"], keep=False)
            facts["tied_rows"] = round(float(tied.mean()), 4)
        return facts

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(table):,}" for name, table in self.tables.items())
        return f"Dataset({self.name!r}: {sizes})"
