"""Data sets from a user's own tables, DataFrames or files (``own_files``).

A table of interactions is enough: its columns of items or users (a title, a price, a city) become
the tables of items and users, with one value for each item or user.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.contracts import check_columns, report, validate, validate_dataset
from m6rec_lite.data.ids import unique_ids
from m6rec_lite.data.tables import EVENTS, TABLES, Card, DataError, Dataset, Dropped

log = logging.getLogger(__name__)
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
#: The table that each kind of id is listed in.
HOMES = {"user_id": "users", "item_id": "items"}


def known_columns(table: str) -> set[str]:
    """Return the columns of a table; interactions may have those of items and users, too."""
    homes = HOMES.values() if table == "interactions" else ()
    return {column for name in (table, *homes) for column in TABLES[name].columns}


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a user's tables; for those not listed here see ``own_files.read_files``.

    Attributes:
        columns: table → contract's name of a column → the user's name.
        dropped: receives a ``Dropped`` for the rows that ``on_bad_rows="drop"`` drops.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    event: str | None = None
    timestamp: str = "column"
    timestamp_unit: str | None = None
    text_ids: bool = False
    on_bad_rows: str = "raise"
    dropped: list[Dropped] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.event is not None and self.event not in EVENTS:
            raise ValueError(f"event must be one of {EVENTS}, not {self.event!r}")
        if self.timestamp not in ("column", "row"):
            raise ValueError(f"timestamp must be 'column' or 'row', not {self.timestamp!r}")
        unit = self.timestamp_unit
        if unit is not None and unit not in (*_UNITS, "iso") and "%" not in unit:
            raise ValueError(
                f"timestamp_unit must be s, ms, us, ns, iso, or a format such as '%Y%m%d', not "
                f"{self.timestamp_unit!r}"
            )
        unknown = set(self.events.values()) - set(EVENTS)
        if unknown:
            raise ValueError(f"events must map to {EVENTS}, not to {sorted(unknown)}")

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None, source: str, **settings: Any) -> ReadOptions:
        """Build from a mapping of names, or from a mapping of tables to such mappings.

        Raises:
            ValueError: if the contracts have no such table or column, or a setting is out of range.
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
            if unknown := sorted(set(names) - known_columns(table)):
                raise ValueError(
                    f"columns: {table} has no column {unknown}. The keys are our names, of "
                    f"{list(TABLES[table].columns)}, and the values are those in {source}"
                )
        return cls(columns=mapping, **settings)

    def renamed(self, table: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the table with the contract's names of its columns."""
        names = self.columns.get(table, {})
        shadowed = [c for c in frame if c in names and c not in names.values()]
        new_names = {source: target for target, source in names.items()}
        return frame.drop(columns=shadowed).rename(columns=new_names)

    def required(self, table: str) -> list[str]:
        """Return the columns that the user's table must have; event and value have defaults."""
        rules = TABLES[table].columns
        optional = {"event", "value"}
        if table == "interactions" and self.timestamp == "row":
            optional.add("timestamp")
        return [c for c in rules if rules[c].column == "required" and c not in optional]

    def check_header(self, table: str, names: Sequence[str], source: str) -> None:
        """Raise ``DataError`` unless the names include all required and all mapped columns."""
        missing = [n for n in self.columns.get(table, {}).values() if n not in names]
        if missing:
            raise DataError(
                f"{source}: columns= names {missing}, which it lacks; its columns are {list(names)}"
            )
        header = self.renamed(table, pd.DataFrame(columns=list(dict.fromkeys(names))))

        def advise(guess: dict[str, str]) -> Mapping[str, Any]:
            """Return ``columns=`` with the names that were given and those that are missing."""
            every = dict(self.columns) | {table: {**self.columns.get(table, {}), **guess}}
            every = {name: mapping for name, mapping in every.items() if mapping}
            return every["interactions"] if list(every) == ["interactions"] else every

        try:
            check_columns(table, header, source, self.required(table), advise)
        except DataError as error:
            hint = ". Without times, and with rows in the order in which they happened: timestamp="
            lacks_time = table == "interactions" and "timestamp" not in header
            raise DataError(f'{error}{hint}"row"' if lacks_time else str(error)) from None

    def read(
        self, table: str, shown: pd.DataFrame, source: str, *, whole: bool = True
    ) -> pd.DataFrame:
        """Return rows of a table in the contract's types.

        Args:
            table: a key of ``TABLES``.
            shown: the user's rows, with the contract's names; messages use their labels.
            source: name of the file, for messages.
            whole: whether these are all rows of the table; see ``contracts.validate``.

        Raises:
            DataError: if the rows break the contract.
        """
        frame = shown.copy()
        rules = TABLES[table].columns
        for column in [c for c in frame if c in rules and rules[c].kind == "time"]:
            is_datetime = pd.api.types.is_datetime64_any_dtype(frame[column].dtype)
            if self.timestamp_unit is not None and not is_datetime:
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
            table, frame, source=source, shown=shown, whole=whole,
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
    """Return a data set of validated tables; build missing tables of items and users.

    Args:
        frames: tables by name, including ``interactions``.
        options: options that they were read with.
        sources: name of the file of each table, for messages.
        name: name of the data set.
        domain: domain of all items, if no table has domains.
        unread: columns of the interactions that the reader skipped.

    Raises:
        DataError: if a table names an unknown user or item, or an item has two titles.
    """
    quirks = ["Read from data of the user's own."]
    if options.timestamp == "row":
        timed = [table for table in ("impressions", "queries") if table in frames]
        if timed:
            raise DataError(
                f'{sources[timed[0]]} has times and with timestamp="row" the interactions have '
                "none, so they cannot be put in one order; leave that table out, or give times"
            )
        quirks.append("Timestamps are row numbers: they give the order, not the time.")
    rows = frames["interactions"]
    if negative := int((rows["value"] < 0).sum()):
        quirk = (
            f"{negative} of {len(rows)} values are negative, and all rows count as positive; if "
            "these are returns, leave them out with positives(dataset, at_least=0)."
        )
        quirks.append(quirk)
        log.warning("%s: %s", sources["interactions"], quirk)
    used: list[str] = []
    for key, home in HOMES.items():
        if home in frames:
            continue
        ids = [frame[key].dropna() for frame in frames.values() if key in frame]
        table = pd.DataFrame({key: unique_ids(pd.concat(ids), key)})
        columns = [str(c) for c in rows if c in TABLES[home].columns and c not in _INTERACTIONS]
        for column in columns:
            table[column] = table[key].map(_first_values(rows, key, column, sources, options))
        used += columns
        frames[home] = validate(home, table, source=sources["interactions"])
    extra = [c for c in rows if c not in _INTERACTIONS]
    ignored = [*unread, *(str(c) for c in extra if c not in used)]
    if ignored:
        quirks.append(f"Columns of the interactions that were not read: {', '.join(ignored)}.")
    frames["interactions"] = rows.drop(columns=extra)
    card = Card(name, "The user's own", sources["interactions"], tuple(quirks))
    tables: dict[str, Any] = dict(frames)
    dataset = Dataset(
        name=name, card=card, has_time=options.timestamp == "column",
        dropped=report(options.dropped), **tables,
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
    """Return a data set of the user's own DataFrames.

    Args:
        frame: one row per interaction: a user, an item, a time (unix seconds or ``datetime64``),
            and optionally an event and a value; columns of items (``title`` …) become items.
        columns: contract's name → name in the frame, as for ``own_files.read_files``.
        items: a table of items with ``item_id``, and optionally texts.
        users: a table of users with ``user_id``.
        name: name of the data set.
        domain: domain of all items, if no table has domains.
        settings: ``events``, ``event``, ``timestamp``, ``timestamp_unit``, ``text_ids`` and
            ``on_bad_rows``, as for ``own_files.read_files``.

    Raises:
        DataError: if a table breaks its contract; the message names the table, the column, the
            first faulty rows and the fix.
    """
    tables = {"interactions": frame, "items": items, "users": users}
    options = ReadOptions.of(columns, "the frame", **settings)
    frames = {}
    for table, values in tables.items():
        if values is None:
            continue
        if not isinstance(values, pd.DataFrame):
            raise DataError(f"{table}: wanted a DataFrame, got {type(values).__name__}")
        source = f"the frame of {table}"
        options.check_header(table, list(values.columns), source)
        shown = options.renamed(table, values.reset_index(drop=True))
        frames[table] = options.read(table, shown, source)
    sources = {table: f"the frame of {table}" for table in frames}
    return complete(frames, options, sources=sources, name=name, domain=domain)


#: Columns of the interactions; other columns belong to items or users.
_INTERACTIONS = tuple(TABLES["interactions"].columns)


def _first_values(
    rows: pd.DataFrame,
    key: str,
    column: str,
    sources: Mapping[str, str],
    options: ReadOptions,
) -> pd.Series:
    """Return the first value of a column for each item (or user) that is not missing.

    Raises:
        DataError: if an item has two values, unless ``on_bad_rows`` is ``drop``.
    """
    present = rows.loc[rows[column].notna(), [key, column]]
    first = present.drop_duplicates(key).set_index(key)[column]
    texts = present[column].map(str)
    differs = (texts != present[key].map(first.map(str))).to_numpy(dtype=bool)
    if differs.any():
        source, n = sources["interactions"], int(differs.sum())
        wrong = present[differs]
        example = wrong[key].iloc[0]
        pair = [first[example], wrong[column].iloc[0]]
        if options.on_bad_rows != "drop":
            raise DataError(
                f"{source}, column {column}: {wrong[key].nunique()} of {first.size} "
                f"{HOMES[key]} have more than one value, such as {key}={example}: {pair}. Give one "
                f'value for each, or a table {HOMES[key]}; or pass on_bad_rows="drop" to keep the '
                "first value of each"
            )
        problem = f"differ from the first value of their {key}, which is kept"
        labels = tuple(int(label) for label in wrong.index[:5])
        options.dropped.append(Dropped(source, column, problem, n, labels))
    return first


def _seconds(values: pd.Series, unit: str) -> pd.Series:
    """Return times in seconds; values that cannot be parsed are unchanged."""
    if unit in _UNITS:
        numbers = pd.to_numeric(values, errors="coerce")
        unread = numbers.isna() | np.isinf(numbers.astype("float64"))
        seconds = numbers.mask(unread, 0) // _UNITS[unit]
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
