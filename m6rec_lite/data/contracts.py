"""Holding tables against their contracts: every fault named, with its rows and its mend.

``validate`` looks at one table alone, ``validate_dataset`` at what tables say of one another. The
rule is strict: a fault raises ``DataError``. Under ``on_bad_rows="drop"`` the faulty rows go, each
kind of fault is logged as a warning and recorded as a ``Dropped``; nothing goes silently. Faults
of a whole table (a missing column, no rows at all) always raise.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from m6rec_lite.data.tables import EVENTS, TABLES, Column, DataError, Dataset, Dropped

log = logging.getLogger(__name__)

#: (what is wrong, where, how to mend it)
Fault = tuple[str, np.ndarray, str]

_WHOLE = ("id", "time", "integer", "small")
_NUMERIC = (*_WHOLE, "number")
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


def validate(
    table_name: str,
    frame: pd.DataFrame,
    *,
    source: str = "",
    on_bad_rows: str = "raise",
    dropped: list[Dropped] | None = None,
    unique: bool = True,
    shown: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Hold a table against its contract and give it the contract's types.

    Args:
        table_name: a key of ``TABLES``.
        frame: the table; columns beyond the contract are kept as they are.
        source: the file, for the message; the table's name if empty.
        on_bad_rows: ``raise``, or ``drop`` to leave faulty rows out.
        dropped: a list that receives a ``Dropped`` for each kind of fault.
        unique: whether to look for repeated keys (a reader in chunks looks once, at the end).
        shown: the rows as the user wrote them, for messages; by default ``frame``.

    Returns:
        a new table: contract columns first, in the contract's types; the given row labels.

    Raises:
        DataError: naming file, column, first offending rows and mend.
    """
    if table_name not in TABLES:
        raise ValueError(f"no table is called {table_name!r}; there are {list(TABLES)}")
    if on_bad_rows not in ("raise", "drop"):
        raise ValueError(f"on_bad_rows must be 'raise' or 'drop', not {on_bad_rows!r}")
    table, source = TABLES[table_name], source or table_name
    shown = frame if shown is None else shown
    _check_columns(table_name, frame, source)
    if len(frame) == 0:
        raise DataError(f"{source}: the table {table_name} has columns but no rows")

    columns: dict[str, pd.Series] = {}
    bad = np.zeros(len(frame), dtype=bool)
    for name, column in table.columns.items():
        if name not in frame:
            if column.column == "filled":
                columns[name] = pd.Series([None] * len(frame), index=frame.index, dtype=object)
            continue
        columns[name], faults = _read(frame[name], column, source, name)
        for problem, where, mend in faults:
            if where.any():
                _answer(source, name, problem, where, mend, shown, on_bad_rows, dropped)
                bad |= where
    extra = [name for name in frame if name not in table.columns]
    result = pd.DataFrame(columns | {name: frame[name] for name in extra}, index=frame.index)
    if bad.any():
        result, shown = result[~bad], shown[~bad]
        _check_left(result, source)
    for name in columns:
        result[name] = _cast(result[name], table.columns[name])
    if unique:
        result = drop_repeats(
            table_name, result, source=source, on_bad_rows=on_bad_rows, dropped=dropped,
            shown=shown,
        )  # fmt: skip
    return result


def drop_repeats(
    table_name: str,
    frame: pd.DataFrame,
    *,
    source: str = "",
    on_bad_rows: str = "raise",
    dropped: list[Dropped] | None = None,
    shown: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Refuse (or drop all but the first of) rows that repeat the table's key.

    Raises:
        DataError: naming the first repeated rows.
    """
    key = list(TABLES[table_name].key)
    if not key or len(frame) < 2:
        return frame
    # one 64-bit hash a row keeps this cheap; equal hashes are then compared exactly
    hashes = pd.util.hash_pandas_object(frame[key], index=False).to_numpy()
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice) == 0:
        return frame
    where = np.isin(hashes, twice)
    where[where] = frame.loc[where, key].duplicated().to_numpy()
    if where.any():
        mend = (
            f"each {key[0]} must occur once" if len(key) == 1 else "remove the second copies"
        )
        _answer(
            source or table_name, ", ".join(key), "repeat an earlier row", where, mend,
            frame if shown is None else shown, on_bad_rows, dropped,
        )  # fmt: skip
    return frame[~where]


def validate_dataset(
    dataset: Dataset, *, sources: dict[str, str] | None = None, on_bad_rows: str = "raise"
) -> Dataset:
    """Hold all tables against what they say of one another: every user and item must be known.

    The tables must have passed ``validate``.

    Args:
        dataset: the tables.
        sources: the file of each table, for messages.
        on_bad_rows: ``raise`` or ``drop``.

    Returns:
        the data set, with rows dropped and recorded if so asked.

    Raises:
        DataError: naming the rows that speak of an unknown user or item.
    """
    sources, dropped = sources or {}, list(dataset.dropped)
    changed: dict[str, pd.DataFrame] = {}
    for name, frame in dataset.tables.items():
        for column, home in (("user_id", "users"), ("item_id", "items")):
            if name == home or column not in frame:
                continue
            known = getattr(dataset, home)[column]
            where = (~frame[column].isin(known) & frame[column].notna()).to_numpy(dtype=bool)
            if where.any():
                source = sources.get(name, name)
                _answer(
                    source, column, f"name {home[:-1]}s that {sources.get(home, home)} lacks",
                    where, f"add them to {sources.get(home, home)}", frame, on_bad_rows, dropped,
                )  # fmt: skip
                frame = changed[name] = frame[~where]
                _check_left(frame, source)
    return replace(dataset, **changed, dropped=tuple(dropped))


def _check_columns(table_name: str, frame: pd.DataFrame, source: str) -> None:
    repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if repeated:
        raise DataError(f"{source}: the header repeats the column {', '.join(repeated)}; rename it")
    required = [n for n, c in TABLES[table_name].columns.items() if c.column == "required"]
    missing = [name for name in required if name not in frame]
    if missing:
        found = [str(name) for name in frame.columns]
        close = {n: difflib.get_close_matches(n, found, 1, 0.5) for n in missing}
        guess = {name: match[0] for name, match in close.items() if match}
        raise DataError(
            f"{source}: column {', '.join(missing)} is missing. The table {table_name} needs "
            f"{required}; found {found}. Rename the columns, or say which is which with "
            f"columns={guess or {missing[0]: '<its name in your file>'}}"
        )


def _check_left(frame: pd.DataFrame, source: str) -> None:
    if len(frame) == 0:
        raise DataError(f"{source}: every row was faulty, so none is left; the log says why")


def _answer(
    source: str,
    column: str,
    problem: str,
    where: np.ndarray,
    mend: str,
    shown: pd.DataFrame,
    on_bad_rows: str,
    dropped: list[Dropped] | None,
) -> None:
    """Raise for a fault, or log and record it."""
    places = np.flatnonzero(where)
    labels = [int(label) for label in shown.index[places[:5]]]
    if on_bad_rows == "drop":
        entry = Dropped(source, column, problem, len(places), tuple(labels))
        log.warning("%s", entry)
        if dropped is not None:
            dropped.append(entry)
        return
    names = [name for name in shown.columns][:8]
    rows = "\n".join(
        f"  row {label}: " + ", ".join(f"{n}={shown[n].iloc[place]!r}"[:80] for n in names)
        for label, place in zip(labels, places[:5], strict=True)
    )
    raise DataError(
        f"{source}, column {column}: {len(places)} of {len(where)} rows {problem}. First of them "
        f"(row 0 follows the header):\n{rows}\nMend: {mend}; or pass on_bad_rows=\"drop\" to leave "
        "these rows out."
    )


def _read(
    values: pd.Series, column: Column, source: str, name: str
) -> tuple[pd.Series, list[Fault]]:
    """Values as far as they can be read (missing where they cannot), and what is wrong."""
    missing = values.isna().to_numpy(dtype=bool, copy=True)
    if column.kind in _NUMERIC:
        read, faults = _read_numbers(values, missing, column, source, name)
    elif column.kind == "tags":
        read, faults = _read_tags(values)
        missing[:] = False
    else:
        read, faults = _read_labels(values, missing, column)
    if column.values == "required":
        faults.insert(0, ("are missing (empty or NaN)", missing, "fill them in"))
    return read, faults


def _read_numbers(
    values: pd.Series, missing: np.ndarray, column: Column, source: str, name: str
) -> tuple[pd.Series, list[Fault]]:
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or values.dtype == bool:
        mend = "whole unix seconds" if column.kind == "time" else "numbers"
        raise DataError(
            f"{source}, column {name}: holds {values.dtype}, wanted {mend}"
            + (f'; convert with frame["{name}"].astype("datetime64[s]").astype("int64")'
               if values.dtype != bool else "")
        )  # fmt: skip
    numbers = values
    if not pd.api.types.is_numeric_dtype(values.dtype):
        numbers = pd.to_numeric(values, errors="coerce")
    if pd.api.types.is_extension_array_dtype(numbers.dtype):
        numbers = numbers.astype("float64" if missing.any() else numbers.dtype.numpy_dtype)
    array = numbers.to_numpy()
    faults: list[Fault] = []
    if array.dtype.kind == "f":
        unread = np.isnan(array) & ~missing
        faults.append(("are not numbers", unread, _NUMBER_MENDS.get(column.kind, "use numbers")))
        faults.append(("are infinite", np.isinf(array), "replace them by finite numbers"))
        if column.kind in _WHOLE:
            finite = np.isfinite(array)
            broken = finite & (array != np.floor(array))
            faults.append(("are not whole numbers", broken, "round them"))
            faults.append(("are beyond 64 bits", finite & (np.abs(array) >= 2.0**63), "shorten"))
    with np.errstate(invalid="ignore"):
        if column.kind == "time":
            for unit, limit, divisor in _UNITS:
                late = np.abs(array.astype(np.float64)) >= limit
                if late.any():
                    faults.append(
                        (f"hold {unit}, not seconds", late & np.isfinite(array),
                         f"divide by {divisor:,}, or read with timestamp_unit=\"{unit[:1]}s\"")
                    )  # fmt: skip
                    break
        if column.low is not None:
            faults.append((f"lie below {column.low:g}", array < column.low, "correct them"))
        if column.high is not None:
            faults.append((f"lie above {column.high:g}", array > column.high, "correct them"))
    return numbers, faults


_UNITS = (
    ("nanoseconds", 1e17, 10**9),
    ("us (microseconds)", 1e14, 10**6),
    ("milliseconds", 1e11, 10**3),
)
_NUMBER_MENDS = {
    "time": 'give unix seconds, or read dates with timestamp_unit="iso"',
    "id": "give whole numbers, or read with read_csv, which numbers ids that are text",
}


def _read_tags(values: pd.Series) -> tuple[pd.Series, list[Fault]]:
    rows, bad = [], np.zeros(len(values), dtype=bool)
    for place, value in enumerate(values.array):
        if isinstance(value, str):
            rows.append([tag.strip() for tag in value.split("|") if tag.strip()])
        elif isinstance(value, (list, tuple, np.ndarray)):
            rows.append(list(value))
            bad[place] = not all(isinstance(tag, str) for tag in value)
        else:
            rows.append([])
            bad[place] = not pd.isna(value)
    mend = "give a list of texts, or one text with | between the tags"
    return pd.Series(rows, index=values.index, dtype=object), [("are not tags", bad, mend)]


def _read_labels(
    values: pd.Series, missing: np.ndarray, column: Column
) -> tuple[pd.Series, list[Fault]]:
    if column.kind == "date":
        read = pd.to_datetime(values, errors="coerce", format="ISO8601")
        return read, [("are not dates", read.isna().to_numpy() & ~missing, "write YYYY-MM-DD")]
    if column.kind == "flag":
        if values.dtype == bool:
            return values, []
        lower = values.astype("str").str.lower()
        known = lower.isin(_TRUE + _FALSE).to_numpy(dtype=bool)
        return lower.isin(_TRUE), [("are neither true nor false", ~known & ~missing, "use 0 or 1")]
    if column.kind == "event":
        known = values.isin(EVENTS).to_numpy(dtype=bool)
        mend = f'use {EVENTS}, or rename with events={{"<yours>": "click"}}'
        return values, [("name an unknown event", ~known & ~missing, mend)]
    if isinstance(values.dtype, (pd.StringDtype, pd.CategoricalDtype)):
        return values, []
    not_text = np.fromiter((not isinstance(v, str) for v in values.array), bool, len(values))
    return values, [("are not text", not_text & ~missing, 'convert with astype("str")')]


def _cast(values: pd.Series, column: Column) -> pd.Series:
    """The contract's type; the values are known to allow it."""
    nullable = column.values == "optional"
    match column.kind:
        case "id" | "time" | "integer":
            if nullable:
                return values.astype("float64" if values.dtype == object else values.dtype).astype(
                    "Int64"
                )
            return values.astype("int64")
        case "small":
            return values.astype("int8")
        case "number":
            return values.astype("float32")
        case "flag":
            return values.astype("bool")
        case "date":
            return values.astype("datetime64[s]")
        case "event":
            return values.astype(pd.CategoricalDtype(EVENTS, ordered=True))
        case "category":
            if isinstance(values.dtype, pd.CategoricalDtype):
                return values
            return values.astype("str").astype("category")
        case "text":
            return values.astype("str")
        case _:  # tags
            return values.map(lambda tags: tags if isinstance(tags, list) else [])


def group_dropped(entries: list[Dropped]) -> Iterator[Dropped]:
    """Entries of the same file, column and problem (read in chunks) added up."""
    merged: dict[tuple[str, str, str], Dropped] = {}
    for entry in entries:
        kind = (entry.source, entry.column, entry.problem)
        if kind in merged:
            before = merged[kind]
            entry = replace(
                entry, rows=before.rows + entry.rows, first=(before.first + entry.first)[:5]
            )
        merged[kind] = entry
    yield from merged.values()
