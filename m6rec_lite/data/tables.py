"""The tables of a data set and their contracts.

A data set is a set of pandas tables (``Dataset``). Each table has a contract (``TABLES``): its
columns, their types, and which of them may be missing. ``m6rec_lite.data.contracts.validate``
checks a table against its contract and raises ``DataError`` with the file, the column, the first
faulty rows and the fix.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

#: Events in order of strength, weakest first; a code is an index into this tuple. When repeated
#: rows of a user with an item are merged, the strongest event is kept.
EVENTS: tuple[str, ...] = ("view", "click", "rate", "like", "cart", "purchase")


class NotFittedError(RuntimeError):
    """A model was used before it was fitted."""


class DataError(ValueError):
    """Data break their contract; the message names the file and rows, and says how to fix them."""


@dataclass(frozen=True)
class Column:
    """Contract of a column.

    Attributes:
        kind: ``id`` (int64 or text), ``time`` (int64 unix seconds), ``integer`` (int64), ``small``
            (int8), ``number`` (float32), ``flag`` (bool), ``text`` (str), ``category``, ``event``
            (category over ``EVENTS``), ``tags`` (list of str) or ``date`` (datetime64[s]).
            Integer kinds whose values may be missing are pandas' nullable ``Int64``.
        values: ``required`` in every row; or ``optional``, may be missing.
        column: ``required``; ``filled`` with missing values if the column does not exist; or
            ``optional``.
        low: least valid value.
        high: greatest valid value.
    """

    kind: str
    values: str = "required"
    column: str = "required"
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Table:
    """Contract of a table: its columns, and the key, whose values must be unique."""

    columns: dict[str, Column]
    key: tuple[str, ...] = ()


_ID, _TIME, _TEXT = Column("id"), Column("time", low=0), Column("text")
_SHARE = Column("number", low=0.0, high=1.0)
_ABSENT_TEXT = Column("text", values="optional", column="filled")
_ABSENT_LABEL = Column("category", values="optional", column="filled")
_IF_KNOWN = Column("category", values="optional", column="optional")

#: Contracts by name of the table in ``Dataset``.
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
            "aspect": _ABSENT_LABEL,
            "sentiment": _ABSENT_LABEL,
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
    """Data card: origin and properties of a data set.

    Attributes:
        title: full name.
        licence: terms of use, in a sentence.
        source: publisher.
        quirks: unexpected properties of the data, a sentence each.
        version: version of the data, such as the bazaar's, or "".
    """

    title: str
    licence: str
    source: str
    quirks: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Dropped:
    """Rows that a reader dropped because of ``on_bad_rows="drop"``.

    Attributes:
        source: name of the file, or of the table.
        column: the faulty column, or several joined by commas.
        problem: the fault.
        rows: number of dropped rows.
        first: labels of the first rows, counted from 0 after the header.
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
    """A named set of tables that meet the contracts in ``TABLES``.

    Attributes:
        name: name of the data set.
        interactions: one row per event of a user with an item.
        items: one row per item.
        users: one row per user.
        card: data card.
        impressions: slates shown to users, or None.
        queries: search queries of users, or None.
        weather: weather of each city and day, or None.
        reviews: reviews of items by users, or None.
        dialogues: dialogues of users with the platform, or None.
        oracle: true probabilities of a simulated world; None for real data.
        has_time: False if the timestamps are row numbers because the data have no times.
        dropped: rows that a reader dropped because of ``on_bad_rows="drop"``.
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
        """Whether any item has a title."""
        return "title" in self.items and bool(self.items["title"].notna().any())

    @property
    def has_users(self) -> bool:
        """Whether any attribute of the users is known."""
        return bool(self.users.drop(columns="user_id").notna().to_numpy().any())

    @property
    def has_oracle(self) -> bool:
        """Whether true probabilities are known, as for simulated data."""
        return self.oracle is not None

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of this data set by name, without those that are None."""
        tables = {name: getattr(self, name) for name in TABLES}
        return {name: table for name, table in tables.items() if table is not None}

    def counts(self) -> dict[str, int | float | str]:
        """Return the numbers of rows, the first and last day, and the share of tied rows.

        ``tied_rows`` is the share of interactions that have the timestamp of another row of the
        same user, so that only the file gives their order.
        """
        rows = self.interactions
        counts: dict[str, int | float | str] = {
            "interactions": len(rows),
            "users": int(rows["user_id"].nunique()),
            "items": int(rows["item_id"].nunique()),
            "items_in_catalogue": len(self.items),
        }
        counts |= {n: len(t) for n, t in self.tables.items() if n not in counts and n != "users"}
        if len(rows):
            days = np.array([rows["timestamp"].min(), rows["timestamp"].max()], "datetime64[s]")
            counts["first_day"], counts["last_day"] = map(str, days.astype("datetime64[D]"))
            tied = rows.duplicated(["user_id", "timestamp"], keep=False)
            counts["tied_rows"] = round(float(tied.mean()), 4)
        return counts

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(table):,}" for name, table in self.tables.items())
        return f"Dataset({self.name!r}: {sizes})"
