"""A data set of your own: one CSV file of interactions, or a folder with one CSV a table.

The reader is strict about form (``delimited``) and content (``contracts``), reads in blocks, so
that memory grows with the rows kept and not with the text of the file, and numbers ids that are
text: an id is then a place in order of appearance, and ``original_id`` in the ``items`` and
``users`` tables says what was written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

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
    block_bytes: int = 1 << 20,
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
        block_bytes: how much text is parsed at a time; a row must fit.
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
    wishes = {
        table: _Wishes(table, mapping.get(table, {}), dict(events or {}), event, timestamp_unit)
        for table in files
    }
    forms = {}
    for table, file in files.items():
        wanted = [wishes[table].columns.get(column, column) for column in _needed(table)]
        forms[table] = inspect(file, sep=sep, encoding=encoding, wanted=wanted)
        _check_header(forms[table], wishes[table])
    label = name or path.name.removesuffix(".gz").removesuffix(".csv")
    text: set[str] = set()
    while True:
        ids = {column: _Ids(column, column in text) for column in _HOMES}
        try:
            dataset = _read_all(forms, wishes, ids, label, on_bad_rows, block_bytes, progress)
            break
        except _IdsAreText as found:  # only now is it known: begin again
            text.add(found.column)
    written = {column: ids[column].written() for column in text}
    for column in text:
        table = getattr(dataset, _HOMES[column])
        table["original_id"] = pd.array(written[column][table[column]], dtype="str")
    if domain is not None and dataset.items["domain"].isna().all():
        dataset.items["domain"] = pd.Categorical([domain]).repeat(len(dataset.items))
    sources = {table: file.name for table, file in files.items()}
    return validate_dataset(dataset, sources=sources, written=written, on_bad_rows=on_bad_rows)


def _read_all(
    forms: dict[str, Form],
    wishes: dict[str, _Wishes],
    ids: dict[str, _Ids],
    label: str,
    on_bad_rows: str,
    block_bytes: int,
    progress: bool,
) -> Dataset:
    """Every file as a table, and tables of users and items made of the ids where there are none."""
    frames: dict[str, pd.DataFrame] = {}
    dropped: list[Dropped] = []
    options: dict[str, Any] = {"on_bad_rows": on_bad_rows, "dropped": dropped}
    for table, form in forms.items():
        source = form.path.name
        wish, keep = wishes[table], {"block_bytes": block_bytes, "progress": progress, **options}
        parts = [
            _read_block(block, wish, ids, source, options)
            for block in blocks(form, columns=_used(form, wish), **keep)
        ]
        if not parts:
            raise DataError(f"{source} has a header but no rows")
        frame = _join(parts)
        parts.clear()
        written = {column: one.written() for column, one in ids.items() if one.text}
        frames[table] = drop_repeats(table, frame, source=source, written=written, **options)
    for column, home in _HOMES.items():
        if home not in frames:
            used = [f[column].dropna().to_numpy(np.int64) for f in frames.values() if column in f]
            made = pd.DataFrame({column: np.unique(np.concatenate(used))})
            frames[home] = validate(home, made)
    quirks = ["Read from a file of the user's own."]
    quirks += [
        f"{column}: numbered in order of appearance; original_id says what was written."
        for column, one in ids.items()
        if one.text
    ]
    card = Card(label, "The user's own", forms["interactions"].path.name, tuple(quirks))
    return Dataset(name=label, card=card, dropped=report(dropped), **frames)


@dataclass(frozen=True)
class _Wishes:
    """How to understand one file's columns; see ``read_csv``."""

    table: str
    columns: dict[str, str]
    events: dict[str, str]
    event: str | None
    timestamp_unit: str


class _IdsAreText(Exception):
    """Raised when an id turns up that is not written as a plain whole number."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class _Ids:
    """Reads one kind of ids: as the whole numbers they are, or as text, numbered.

    ``007`` and ``7`` may be two products, so a leading zero makes all ids text.
    """

    def __init__(self, column: str, text: bool) -> None:
        self.column, self.text = column, text
        self._places: dict[str, int] = {}

    def read(self, values: pd.Series) -> pd.Series:
        """The ids as Int64, missing where they are. Blanks around an id do not count.

        Raises:
            _IdsAreText: if they should be whole numbers and are not.
        """
        trimmed = pc.utf8_trim_whitespace(pa.array(values, type=pa.string(), from_pandas=True))
        trimmed = pc.replace_with_mask(trimmed, pc.equal(trimmed, ""), pa.scalar(None, pa.string()))
        if not self.text:
            plain = pc.match_substring_regex(trimmed, r"^(0|-?[1-9][0-9]{0,17})$")
            if not pc.all(plain, min_count=0).as_py():
                raise _IdsAreText(self.column)
            return pd.Series(pc.cast(trimmed, pa.int64()), values.index, "Int64")
        found = trimmed.dictionary_encode()
        places = [
            self._places.setdefault(one, len(self._places)) for one in found.dictionary.to_pylist()
        ]
        numbers = pa.array(places, pa.int64()).take(found.indices)
        return pd.Series(numbers, values.index, "Int64")

    def written(self) -> np.ndarray:
        """What was written for the ids 0, 1, 2 …; of use where they are text."""
        return np.array(list(self._places), dtype=object)


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


def _used(form: Form, wishes: _Wishes) -> list[str]:
    """The file's names of the columns to read: the contract's, and for items and users all.

    A column that bears our name, though ``columns=`` says that another is meant, is left out.
    """
    meant = wishes.columns.values()
    shadowed = [c for c in form.names if c in wishes.columns and c not in meant]
    extra = form.names if wishes.table in _HOMES.values() else ()
    known = (*TABLES[wishes.table].columns, *meant, *extra)
    return [c for c in form.names if c in known and c not in shadowed]


def _rename(block: pd.DataFrame, wishes: _Wishes) -> pd.DataFrame:
    """Our names for the columns."""
    return block.rename(columns={name: ours for ours, name in wishes.columns.items()})


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
            frame[column] = ids[column].read(frame[column])
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
