"""A user's own tables, from a DataFrame or from files (``csv``): names, events, times, ids.

One file of interactions is enough. Columns of items or users that stand in it (a title, a price, a
city) become the tables of items and users, one value an item or user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.contracts import check_columns, report, validate, validate_dataset
from m6rec_lite.data.ids import unique_ids
from m6rec_lite.data.tables import EVENTS, TABLES, Card, DataError, Dataset, Dropped

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
#: The table that each kind of id is listed in.
HOMES = {"user_id": "users", "item_id": "items"}


@dataclass(frozen=True)
class ReadOptions:
    """How to understand a user's tables; see ``csv.read_csv`` for the meaning of each.

    Attributes:
        columns: table → our name of a column → the user's.
        dropped: receives what ``on_bad_rows="drop"`` leaves out.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    event: str | None = None
    timestamp: str = "column"
    timestamp_unit: str = "s"
    text_ids: bool = False
    on_bad_rows: str = "raise"
    dropped: list[Dropped] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.event is not None and self.event not in EVENTS:
            raise ValueError(f"event must be one of {EVENTS}, not {self.event!r}")
        if self.timestamp not in ("column", "row"):
            raise ValueError(f"timestamp must be 'column' or 'row', not {self.timestamp!r}")
        if self.timestamp_unit not in (*_UNITS, "iso") and "%" not in self.timestamp_unit:
            raise ValueError(
                f"timestamp_unit must be s, ms, us, ns, iso, or a format such as '%Y%m%d', not "
                f"{self.timestamp_unit!r}"
            )
        unknown = set(self.events.values()) - set(EVENTS)
        if unknown:
            raise ValueError(f"events must map to {EVENTS}, not to {sorted(unknown)}")

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None, source: str, **settings: Any) -> ReadOptions:
        """Build from ``columns`` as users write them: names, or tables to such names.

        Raises:
            ValueError: on a table or column that the contracts lack.
        """
        columns = columns or {}
        nested = {key: value for key, value in columns.items() if isinstance(value, Mapping)}
        if nested and len(nested) < len(columns):
            raise ValueError("columns maps either names, or tables to such maps, not both at once")
        mapping: dict[str, Mapping[str, str]] = dict(nested)
        if not nested:
            mapping = {"interactions": dict(columns)}
        for table, names in mapping.items():
            if table not in TABLES:
                raise ValueError(f"columns: no table is called {table!r}; there are {list(TABLES)}")
            known = set(TABLES[table].columns)
            if table == "interactions":
                known |= {c for home in HOMES.values() for c in TABLES[home].columns}
            if strange := sorted(set(names) - known):
                raise ValueError(
                    f"columns: {table} has no column {strange}. The keys are our names, of "
                    f"{list(TABLES[table].columns)}, and the values are those in {source}"
                )
        return cls(columns=mapping, **settings)

    def renamed(self, table: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the table with our names for its columns."""
        names = self.columns.get(table, {})
        shadowed = [c for c in frame if c in names and c not in names.values()]
        return frame.drop(columns=shadowed).rename(
            columns={theirs: ours for ours, theirs in names.items()}
        )

    def required(self, table: str) -> list[str]:
        """Return the columns that the user's table must have; event and value have defaults."""
        rules = TABLES[table].columns
        absent = {"event", "value"}
        if table == "interactions" and self.timestamp == "row":
            absent.add("timestamp")
        return [c for c in rules if rules[c].column == "required" and c not in absent]

    def check_header(self, table: str, names: Sequence[str], source: str) -> None:
        """Raise ``DataError`` unless the names hold the columns that are needed or were named."""
        absent = [n for n in self.columns.get(table, {}).values() if n not in names]
        if absent:
            raise DataError(
                f"{source}: columns= names {absent}, which it lacks; its columns are {list(names)}"
            )
        ours = self.renamed(table, pd.DataFrame(columns=list(dict.fromkeys(names))))
        try:
            check_columns(table, ours, source, self.required(table))
        except DataError as error:
            hint = ". Without times, and with rows in the order in which they happened: timestamp="
            lacks_time = table == "interactions" and "timestamp" not in ours
            raise DataError(f'{error}{hint}"row"' if lacks_time else str(error)) from None

    def read(
        self, table: str, shown: pd.DataFrame, source: str, *, unique: bool = True
    ) -> pd.DataFrame:
        """Return rows of one table, columns already renamed, in the contract's form.

        Args:
            table: a key of ``TABLES``.
            shown: the rows as the user wrote them; the index labels them in messages.
            source: the file, for messages.
            unique: whether to look for repeated keys.

        Raises:
            DataError: naming the column, the first faulty rows and the fix.
        """
        frame = shown.copy()
        rules = TABLES[table].columns
        for column in [c for c in frame if c in rules and rules[c].kind == "time"]:
            if self.timestamp_unit != "s" and not _is_datetime(frame[column]):
                frame[column] = _seconds(frame[column], self.timestamp_unit)
        if self.text_ids:
            for column in [c for c in frame if c in HOMES]:
                text = frame[column].astype("str")
                frame[column] = text.mask(frame[column].isna())
        if table == "interactions":
            if self.timestamp == "row":
                frame["timestamp"] = frame.index.to_numpy(dtype=np.int64)
            if "event" in frame:
                frame["event"] = frame["event"].replace(dict(self.events))
            else:
                default = self.event or ("rate" if "value" in frame else "click")
                frame["event"] = pd.Categorical([default], EVENTS).repeat(len(frame))
            if "value" not in frame:
                frame["value"] = np.float32(1)
        return validate(
            table, frame, source=source, shown=shown, unique=unique,
            on_bad_rows=self.on_bad_rows, dropped=self.dropped,
        )  # fmt: skip


def complete(
    frames: dict[str, pd.DataFrame],
    options: ReadOptions,
    *,
    sources: Mapping[str, str],
    name: str,
    domain: str | None,
    unread: Sequence[str] = (),
) -> Dataset:
    """Make a data set of tables that kept their contracts: add items and users, match the ids.

    Args:
        frames: tables by name; ``interactions`` among them.
        options: how they were read.
        sources: the file of each table, for messages.
        name: of the data set.
        domain: of all items, where no table names domains.
        unread: columns of the interactions that the reader skipped.

    Raises:
        DataError: if a table names an unknown user or item, or an item has two titles.
    """
    quirks = ["Read from data of the user's own."]
    if options.timestamp == "row":
        timed = [name for name in ("impressions", "queries") if name in frames]
        if timed:
            raise DataError(
                f'{sources[timed[0]]} has times and with timestamp="row" the interactions have '
                "none, so they cannot be put in one order; leave that table out, or give times"
            )
        quirks.append("Timestamps are the numbers of the rows: they tell the order, not the time.")
    rows = frames["interactions"]
    moved: list[str] = []
    for column, home in HOMES.items():
        if home in frames:
            continue
        used = [f[column].dropna() for f in frames.values() if column in f]
        table = pd.DataFrame({column: unique_ids(pd.concat(used), column)})
        columns = [c for c in rows if c in TABLES[home].columns and c not in _OWN]
        for one in columns:
            table[one] = table[column].map(_one_value_each(rows, column, one, sources, options))
        moved += columns
        frames[home] = validate(home, table, source=sources["interactions"])
    extra = [c for c in rows if c not in _OWN]
    ignored = [*unread, *(str(c) for c in extra if c not in moved)]
    if ignored:
        quirks.append(f"Columns of the interactions that were not read: {', '.join(ignored)}.")
    frames["interactions"] = rows.drop(columns=extra)
    card = Card(name, "The user's own", sources["interactions"], tuple(quirks))
    dataset = Dataset(
        name=name, card=card, has_time=options.timestamp == "column",
        dropped=report(options.dropped), **frames,
    )  # fmt: skip
    if domain is not None and dataset.items["domain"].isna().all():
        dataset.items["domain"] = pd.Categorical([domain]).repeat(len(dataset.items))
    return validate_dataset(dataset, sources=sources, on_bad_rows=options.on_bad_rows)


def read_frame(
    frame: pd.DataFrame,
    *,
    columns: Mapping[str, Any] | None = None,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    name: str = "frame",
    domain: str | None = None,
    **settings: Any,
) -> Dataset:
    """Make a data set of DataFrames of the user's own.

    Args:
        frame: one row an interaction: a user, an item, a time (unix seconds or ``datetime64``),
            perhaps an event and a value; columns of items (``title`` …) are read as items.
        columns: our name → the frame's, as for ``csv.read_csv``.
        items: a table of items with ``item_id``, and texts where there are any.
        users: a table of users with ``user_id``.
        name: of the data set.
        domain: of all items, where no table names domains.
        settings: ``events``, ``event``, ``timestamp``, ``timestamp_unit``, ``text_ids`` and
            ``on_bad_rows``, as for ``csv.read_csv``.

    Raises:
        DataError: naming the table, column, first faulty rows and the fix.
    """
    tables = {"interactions": frame, "items": items, "users": users}
    options = ReadOptions.of(columns, "the frame", **settings)
    frames = {}
    for table, one in tables.items():
        if one is None:
            continue
        if not isinstance(one, pd.DataFrame):
            raise DataError(f"{table}: wanted a DataFrame, got {type(one).__name__}")
        source = f"the frame of {table}"
        options.check_header(table, list(one.columns), source)
        shown = options.renamed(table, one.reset_index(drop=True))
        frames[table] = options.read(table, shown, source)
    sources = {table: f"the frame of {table}" for table in frames}
    return complete(frames, options, sources=sources, name=name, domain=domain)


#: What interactions keep for themselves.
_OWN = tuple(TABLES["interactions"].columns)


def _one_value_each(
    rows: pd.DataFrame,
    key: str,
    column: str,
    sources: Mapping[str, str],
    options: ReadOptions,
) -> pd.Series:
    """Return the one value of a column for each item (or user): the first that is not missing.

    Raises:
        DataError: if an item has two values, unless ``on_bad_rows="drop"`` keeps the first.
    """
    there = rows.loc[rows[column].notna(), [key, column]]
    first = there.drop_duplicates(key).set_index(key)[column]
    plain = there[column].map(str)
    differs = (plain != there[key].map(first.map(str))).to_numpy(dtype=bool)
    if differs.any():
        source, n = sources["interactions"], int(differs.sum())
        wrong = there[differs]
        who = wrong[key].iloc[0]
        pair = [first[who], wrong[column].iloc[0]]
        if options.on_bad_rows != "drop":
            raise DataError(
                f"{source}, column {column}: {wrong[key].nunique()} of {first.size} "
                f"{HOMES[key]} have more than one value, such as {key}={who}: {pair}. Give one "
                f'value for each, or a table {HOMES[key]}; or pass on_bad_rows="drop" to keep the '
                "first value of each"
            )
        problem = f"differ from the first value of their {key}, which is kept"
        labels = tuple(int(label) for label in wrong.index[:5])
        options.dropped.append(Dropped(source, column, problem, n, labels))
    return first


def _is_datetime(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values.dtype)


def _seconds(values: pd.Series, unit: str) -> pd.Series:
    """Times in seconds; what cannot be read stays as it is, for the contract to name."""
    if unit == "s":
        return values
    if unit in _UNITS:
        numbers = pd.to_numeric(values, errors="coerce")
        seconds, unread = numbers // _UNITS[unit], numbers.isna()
    else:
        form = "ISO8601" if unit == "iso" else unit
        dates = pd.to_datetime(
            values if unit == "iso" else values.astype("str"),
            utc=True,
            errors="coerce",
            format=form,
        )
        seconds, unread = dates.astype("datetime64[s, UTC]").astype("int64"), dates.isna()
    if not unread.any():
        return seconds
    return seconds.astype("float64").astype("object").where(~unread, values)
