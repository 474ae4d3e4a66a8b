"""Holding tables against their contracts: every fault named, with its rows and its mend.

``validate`` looks at one table alone, ``validate_dataset`` at what tables say of one another. The
rule is strict: a fault raises ``DataError``. Under ``on_bad_rows="drop"`` the faulty rows go, and
each kind of fault is logged as a warning and recorded as a ``Dropped``; nothing goes silently.
Faults of a whole table (a missing column, no rows at all) always raise.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from m6rec_lite.data.columns import cast, read
from m6rec_lite.data.tables import TABLES, DataError, Dataset, Dropped

log = logging.getLogger(__name__)


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
        dropped: a list that receives a ``Dropped`` for each kind of fault, for ``report`` to log;
            without it they are logged here.
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
    check_columns(table_name, frame, source)
    if len(frame) == 0:
        raise DataError(f"{source}: the table {table_name} has columns but no rows")

    columns: dict[str, pd.Series] = {}
    bad = np.zeros(len(frame), dtype=bool)
    for name, column in table.columns.items():
        if name not in frame:
            if column.column == "filled":
                columns[name] = pd.Series([None] * len(frame), index=frame.index, dtype=object)
            continue
        columns[name], faults = read(frame[name], column, source, name)
        for problem, rows, mend in faults:
            where = rows & ~bad  # a row with two faults is dropped, and counted, once
            if where.any():
                _answer(source, name, problem, where, mend, shown, on_bad_rows, dropped)
                bad |= where
    extra = [name for name in frame if name not in table.columns]
    result = pd.DataFrame(columns | {name: frame[name] for name in extra}, index=frame.index)
    if bad.any():
        result = result[~bad].copy()
        _check_left(result, source)
    for name in columns:
        result[name] = cast(result[name], table.columns[name])
    if unique:
        result = drop_repeats(
            table_name, result, source=source, on_bad_rows=on_bad_rows, dropped=dropped
        )
    return result


def drop_repeats(
    table_name: str,
    frame: pd.DataFrame,
    *,
    source: str = "",
    on_bad_rows: str = "raise",
    dropped: list[Dropped] | None = None,
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
        mend = f"each {key[0]} must occur once" if len(key) == 1 else "remove the second copies"
        _answer(
            source or table_name, ", ".join(key), "repeat an earlier row", where, mend,
            frame, on_bad_rows, dropped,
        )  # fmt: skip
        return frame[~where]
    return frame


def validate_dataset(
    dataset: Dataset,
    *,
    sources: Mapping[str, str] | None = None,
    on_bad_rows: str = "raise",
) -> Dataset:
    """Hold all tables against what they say of one another: every user and item must be known.

    The tables must have passed ``validate``.

    Args:
        dataset: the tables.
        sources: the file of each table, for messages.
        on_bad_rows: ``raise`` or ``drop``.

    Returns:
        the data set, with rows dropped and recorded if so asked, and rows labelled from 0.

    Raises:
        DataError: naming the rows that speak of an unknown user or item.
    """
    sources, dropped = sources or {}, []
    changed: dict[str, pd.DataFrame] = {}
    for name, frame in dataset.tables.items():
        for column, home in (("user_id", "users"), ("item_id", "items")):
            if name == home or column not in frame:
                continue
            known = getattr(dataset, home)[column]
            _check_kinds(frame[column], known, sources.get(name, name), sources.get(home, home))
            where = (~frame[column].isin(known) & frame[column].notna()).to_numpy(dtype=bool)
            if where.any():
                source = sources.get(name, name)
                _answer(
                    source, column, f"name {home[:-1]}s that {sources.get(home, home)} lacks",
                    where, f"add them to {sources.get(home, home)}", frame, on_bad_rows, dropped,
                )  # fmt: skip
                frame = changed[name] = frame[~where]
                _check_left(frame, source)
    # row labels pointed into the files until here; from now on they are places
    changed = {
        name: changed.get(name, frame).reset_index(drop=True)
        for name, frame in dataset.tables.items()
    }
    return replace(dataset, **changed, dropped=(*dataset.dropped, *report(dropped)))


def check_columns(
    table_name: str, frame: pd.DataFrame, source: str, required: Sequence[str] | None = None
) -> None:
    """Raise ``DataError`` if a required column is missing or a column is there twice.

    Without ``required`` the contract says which columns are.
    """
    repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if repeated:
        raise DataError(f"{source}: the header repeats the column {', '.join(repeated)}; rename it")
    if required is None:
        required = [n for n, c in TABLES[table_name].columns.items() if c.column == "required"]
    missing = [name for name in required if name not in frame]
    if missing:
        found = [str(name) for name in frame.columns]
        guess = _guess(missing, [name for name in found if name not in required])
        raise DataError(
            f"{source}: column {', '.join(missing)} is missing. The table {table_name} needs "
            f"{required}; found {found}. Rename the columns, or say which is which with columns="
            f"{guess or {missing[0]: '<its name in your file>'}}"
        )


def _check_kinds(ids: pd.Series, known: pd.Series, source: str, home: str) -> None:
    """Raise ``DataError`` if two tables write the same ids as text and as whole numbers."""
    text = [isinstance(column.dtype, pd.StringDtype) for column in (ids, known)]
    if text[0] != text[1] and ids.notna().any():
        raise DataError(
            f"column {ids.name}: {source} has {'text' if text[0] else 'whole numbers'} such as "
            f"{ids.dropna().iloc[0]!r}, {home} has {'text' if text[1] else 'whole numbers'} such "
            f'as {known.iloc[0]!r}; make both the same, for text frame["{ids.name}"].astype("str")'
        )


#: Names that other people's files often give to our columns, letters and digits only.
_OTHER_NAMES = {
    "user_id": ("user", "uid", "customer", "customerid", "visitorid", "reviewerid", "memberid"),
    "item_id": ("item", "product", "productid", "sku", "asin", "movieid", "articleid", "contentid"),
    "timestamp": ("time", "ts", "date", "datetime", "unixtime", "eventtime", "createdat"),
}


def _guess(missing: list[str], found: list[str]) -> dict[str, str]:
    """Which of the names in the file may be meant."""
    plain = {"".join(c for c in name.lower() if c.isalnum()): name for name in reversed(found)}
    guess = {}
    for name in missing:
        own = name.replace("_", "")
        close = [n for n in (own, *_OTHER_NAMES.get(name, ())) if n in plain]
        close = close or difflib.get_close_matches(own, plain, 1, 0.8)
        if close:
            guess[name] = plain[close[0]]
    return guess


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
    first = shown.iloc[places[:5], :8]
    labels = [int(label) for label in first.index]
    if on_bad_rows == "drop":
        entry = Dropped(source, column, problem, len(places), tuple(labels))
        if dropped is None:
            log.warning("%s", entry)
        else:
            dropped.append(entry)
        return
    rows = "\n".join(
        f"  row {label}: " + ", ".join(f"{k}={v}"[:80] for k, v in row.items())
        for label, (_, row) in zip(labels, first.astype(object).iterrows(), strict=True)
    )
    raise DataError(
        f"{source}, column {column}: {len(places)} of {len(where)} rows {problem}. First of them "
        f'(row 0 follows the header):\n{rows}\nMend: {mend}; or pass on_bad_rows="drop" to leave '
        "these rows out."
    )


def report(entries: list[Dropped]) -> tuple[Dropped, ...]:
    """Log what was dropped, entries of the same file, column and problem added up."""
    merged: dict[tuple[str, str, str], Dropped] = {}
    for entry in entries:
        kind = (entry.source, entry.column, entry.problem)
        if kind in merged:
            before = merged[kind]
            first = (before.first + entry.first)[:5]
            entry = replace(entry, rows=before.rows + entry.rows, first=first)
        merged[kind] = entry
    for entry in merged.values():
        log.warning("%s", entry)
    return tuple(merged.values())
