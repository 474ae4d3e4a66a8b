"""A data set of your own: one CSV file of interactions, or a folder with one CSV a table.

The reader is strict about form (``delimited``) and content (``contracts``), reads in blocks, so
that memory grows with the rows kept and not with the text of the file, and numbers ids that are
text: an id is then a place in order of appearance, and ``original_id`` in the ``items`` and
``users`` tables says what was written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.contracts import (
    check_columns,
    drop_repeats,
    report,
    validate,
    validate_dataset,
)
from m6rec_lite.data.delimited import MISSING, Form, blocks, inspect
from m6rec_lite.data.tables import EVENTS, TABLES, Card, DataError, Dataset, Dropped

log = logging.getLogger(__name__)

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_HOMES = {"user_id": "users", "item_id": "items"}


def read_csv(
    path: Path | str,
    *,
    columns: Mapping[str, Any] | None = None,
    events: Mapping[str, str] | None = None,
    event: str | None = None,
    timestamp_unit: str = "s",
    sep: str | None = None,
    encoding: str = "utf-8",
    name: str | None = None,
    domain: str | None = None,
    on_bad_rows: str = "raise",
    block_bytes: int = 1 << 23,
    progress: bool = True,
) -> Dataset:
    """Read a CSV file of interactions, or a folder of CSV files named after their tables.

    A folder holds ``interactions.csv`` and, where there is something to tell, ``items.csv``,
    ``users.csv``, ``impressions.csv``, ``queries.csv`` and so on (see ``TABLES``). A file ending
    in ``.gz`` is unpacked on the way. Without items or users tables these are made of the ids.

    Args:
        path: file or folder.
        columns: our name → the name in the file, such as ``{"user_id": "customer"}``; for a
            folder with several tables ``{"interactions": {…}, "items": {…}}``.
        events: the file's names of events → ours (``EVENTS``), such as ``{"buy": "purchase"}``.
        event: the event of every row where the file has no such column; by default ``rate`` if it
            has a ``value``, else ``click``. A missing ``value`` column means 1.
        timestamp_unit: of the file: ``s``, ``ms``, ``us``, ``ns`` since 1970, or ``iso`` for dates
            as text (UTC unless they name a zone). Fractions of a second are cut off, save with
            ``s``, where they are an error.
        sep: the separator; by default the one of ``,;|`` and tab that suits the header.
        encoding: of the text; a byte-order mark is skipped.
        name: of the data set; by default the file's.
        domain: of all items, where no items table names domains.
        on_bad_rows: ``raise`` or ``drop``.
        block_bytes: how much text is parsed at a time.
        progress: whether to show a bar (after two seconds).

    Returns:
        the data set; rows in file order.

    Raises:
        DataError: naming file, column, first offending rows, and the mend.
    """
    path = Path(path)
    if event is not None and event not in EVENTS:
        raise ValueError(f"event must be one of {EVENTS}, not {event!r}")
    if timestamp_unit not in (*_UNITS, "iso"):
        raise ValueError(f"timestamp_unit must be s, ms, us, ns or iso, not {timestamp_unit!r}")
    unknown = set((events or {}).values()) - set(EVENTS)
    if unknown:
        raise ValueError(f"events must map to {EVENTS}, not to {sorted(unknown)}")
    files = _files(path)
    mapping = _by_table(columns or {}, path)
    ids = {column: _Ids() for column in _HOMES}
    dropped: list[Dropped] = []
    options = {"on_bad_rows": on_bad_rows, "dropped": dropped}
    frames: dict[str, pd.DataFrame] = {}
    for table, file in files.items():
        wishes = _Wishes(table, mapping.get(table, {}), dict(events or {}), event, timestamp_unit)
        wanted = [wishes.columns.get(column, column) for column in _needed(table)]
        form = inspect(file, sep=sep, encoding=encoding, wanted=wanted)
        _check_header(form, wishes)
        parts = [
            _read_block(block, wishes, ids, file.name, options)
            for block in blocks(form, block_bytes=block_bytes, progress=progress, **options)
        ]
        if not parts:
            raise DataError(f"{file.name} has a header but no rows")
        frames[table] = _join(parts)
        parts.clear()
    written = {column: found.written() for column, found in ids.items() if found.numbers() is None}
    for column, home in _HOMES.items():
        _finish_ids(frames, column, home, ids[column], domain)
    sources = {table: file.name for table, file in files.items()}
    for table in files:
        frames[table] = drop_repeats(
            table, frames[table], source=sources[table], written=written, **options
        )
    label = name or path.name.removesuffix(".gz").removesuffix(".csv")
    card = Card(label, "The user's own", path.name, ("Read from a file of the user's own.",))
    if written:
        quirk = f"{', '.join(written)}: numbered in order of appearance; see original_id."
        card = replace(card, quirks=(*card.quirks, quirk))
    dataset = Dataset(name=label, card=card, dropped=report(dropped), **frames)
    return validate_dataset(dataset, sources=sources, written=written, on_bad_rows=on_bad_rows)


@dataclass(frozen=True)
class _Wishes:
    """How to understand one file's columns; see ``read_csv``."""

    table: str
    columns: dict[str, str]
    events: dict[str, str]
    event: str | None
    timestamp_unit: str


class _Ids:
    """Ids as they were written, numbered in order of appearance."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def encode(self, values: pd.Series) -> pd.Series:
        """The number of each id; missing where the id is. Blanks around an id do not count."""
        codes, found = pd.factorize(values.mask(values.str.isspace().eq(True)))
        new = [self._places.setdefault(one.strip(), len(self._places)) for one in found]
        numbers = pd.Series(np.array([*new, -1], dtype=np.int64)[codes], index=values.index)
        return numbers.mask(codes < 0) if (codes < 0).any() else numbers

    def written(self) -> np.ndarray:
        """The ids as text, in order of appearance."""
        return np.array(list(self._places), dtype=object)

    def numbers(self) -> np.ndarray | None:
        """The ids as int64 if every one is written as a plain whole number, else None.

        ``007`` and ``7`` may be two products, so a leading zero makes all ids text.
        """
        text = pd.Series(self.written(), dtype="str")
        if not text.str.fullmatch(r"0|-?[1-9][0-9]{0,17}").all():
            return None
        return text.astype("int64").to_numpy()


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {"interactions": path}
    if not path.is_dir():
        raise DataError(f"{path} does not exist; give a CSV file or a folder of them")
    found = {
        table: path / f"{table}{ending}"
        for table in TABLES
        for ending in (".csv.gz", ".csv")
        if (path / f"{table}{ending}").is_file()
    }
    if "interactions" not in found:
        there = sorted(file.name for file in path.iterdir())[:10]
        raise DataError(
            f"{path} holds no interactions.csv (it holds {there}); rename the file of events to "
            "interactions.csv, or give its own path"
        )
    return found


def _by_table(columns: Mapping[str, Any], path: Path) -> dict[str, dict[str, str]]:
    nested = {key: value for key, value in columns.items() if isinstance(value, Mapping)}
    if nested and len(nested) < len(columns):
        raise ValueError("columns maps either names, or tables to such maps, not both at once")
    mapping = {k: dict(v) for k, v in nested.items()} if nested else {"interactions": dict(columns)}
    for table, names in mapping.items():
        if table not in TABLES:
            raise ValueError(f"columns: no table is called {table!r}; there are {list(TABLES)}")
        unknown = sorted(set(names) - set(TABLES[table].columns))
        if unknown:
            raise ValueError(
                f"columns: {table} has no column {unknown}. The keys are our names, of "
                f"{list(TABLES[table].columns)}, and the values are those in {path.name}"
            )
    return mapping


def _needed(table: str) -> list[str]:
    """The columns that a file must have; event and value have defaults."""
    rules = TABLES[table].columns
    return [c for c in rules if rules[c].column == "required" and c not in ("event", "value")]


def _check_header(form: Form, wishes: _Wishes) -> None:
    """Raise ``DataError`` unless the header has the columns that are needed or were named."""
    absent = [name for name in wishes.columns.values() if name not in form.names]
    if absent:
        raise DataError(
            f"{form.path.name}: columns= names {absent}, which the file lacks; its columns are "
            f"{form.names}"
        )
    theirs = {name: ours for ours, name in wishes.columns.items()}
    named = dict.fromkeys(theirs.get(name, name) for name in form.names if name)
    frame = pd.DataFrame(columns=list(named))
    check_columns(wishes.table, frame, form.path.name, _needed(wishes.table))


def _rename(block: pd.DataFrame, wishes: _Wishes) -> pd.DataFrame:
    """Our names for the columns; a column that bears our name but is not the one meant goes."""
    theirs = {name: ours for ours, name in wishes.columns.items()}
    block = block.drop(columns=[c for c in block if c in wishes.columns and c not in theirs])
    block = block.rename(columns=theirs)
    known = TABLES[wishes.table].columns
    keep_extra = wishes.table in _HOMES.values()
    return block[[c for c in block if c in known or keep_extra]]


def _read_block(
    block: pd.DataFrame,
    wishes: _Wishes,
    ids: dict[str, _Ids],
    source: str,
    options: dict[str, Any],
) -> pd.DataFrame:
    """One block of text as rows that keep the contract, ids numbered."""
    shown = _rename(block, wishes)
    rules = TABLES[wishes.table].columns
    frame = shown.copy()
    for column in frame:
        kind = rules[column].kind if column in rules else "text"
        if kind not in ("text", "category", "event"):  # a title may well be "None"
            frame[column] = frame[column].mask(frame[column].isin(MISSING))
        if column in ids:
            frame[column] = ids[column].encode(frame[column])
        elif kind == "time":
            frame[column] = _seconds(frame[column], wishes.timestamp_unit)
    if wishes.table == "interactions":
        if "event" in frame:
            frame["event"] = frame["event"].replace(wishes.events)
        else:
            default = "rate" if "value" in frame else "click"
            frame["event"] = pd.Categorical([wishes.event or default], EVENTS).repeat(len(frame))
        if "value" not in frame:
            frame["value"] = np.float32(1)
    return validate(
        wishes.table, frame, source=source, shown=shown, unique=False,
        on_bad_rows=options["on_bad_rows"], dropped=options["dropped"],
    )  # fmt: skip


def _seconds(values: pd.Series, unit: str) -> pd.Series:
    """Times in seconds; what cannot be read stays as it is, for the contract to name."""
    if unit == "s":
        return values
    if unit == "iso":
        read = pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601")
        seconds = read.astype("datetime64[s, UTC]").astype("int64")
    else:
        read = pd.to_numeric(values, errors="coerce")
        seconds = read // _UNITS[unit]
    if not read.isna().any():
        return seconds
    return seconds.astype("float64").astype("object").where(read.notna(), values)


def _join(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Blocks under one another; categories that differ between blocks are united."""
    for column in parts[0]:
        if all(isinstance(part[column].dtype, pd.CategoricalDtype) for part in parts):
            ordered = parts[0][column].dtype.ordered
            names = list(dict.fromkeys(c for part in parts for c in part[column].cat.categories))
            kind = pd.CategoricalDtype(names if ordered else sorted(names), ordered)
            for part in parts:
                part[column] = part[column].astype(kind)
    return pd.concat(parts)


def _finish_ids(
    frames: dict[str, pd.DataFrame], column: str, home: str, ids: _Ids, domain: str | None
) -> None:
    """Put the ids themselves in place of their numbers, and complete the table of their home."""
    numbers = ids.numbers()
    holders = [name for name, frame in frames.items() if column in frame]
    if numbers is not None:
        for name in holders:
            values = frames[name][column]
            if values.dtype == "Int64":
                full = numbers[values.fillna(0).to_numpy(dtype=np.int64)]
                frames[name][column] = pd.Series(full, values.index, "Int64").mask(values.isna())
            else:
                frames[name][column] = numbers[values.to_numpy()]
    if home not in frames:
        used = [frames[name][column].dropna().to_numpy(np.int64) for name in holders]
        made = pd.DataFrame({column: np.unique(np.concatenate(used))})
        frames[home] = validate(home, made)
    if home == "items" and domain is not None and frames[home]["domain"].isna().all():
        frames[home]["domain"] = pd.Categorical([domain]).repeat(len(frames[home]))
    if numbers is None:
        places = frames[home][column].to_numpy()
        frames[home]["original_id"] = pd.array(ids.written()[places], dtype="str")
