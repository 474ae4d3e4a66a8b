"""Validation of tables against their contracts.

``validate`` checks one table, ``validate_dataset`` the references between tables. A fault raises
``DataError``, which names the faulty rows and says how to fix them. With ``on_bad_rows="drop"``
faulty rows are dropped instead; each kind of fault is logged as a warning and recorded as a
``Dropped``. Faults of a whole table (a missing column, no rows) always raise.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

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
    whole: bool = True,
    shown: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Check a table against its contract and convert it to the contract's types.

    Args:
        table_name: a key of ``TABLES``.
        frame: the table; columns that are not in the contract are unchanged.
        source: name of the file, for messages; by default the table's name.
        on_bad_rows: ``raise``, or ``drop`` to drop faulty rows.
        dropped: a list that receives a ``Dropped`` for each kind of fault, for ``report`` to log;
            without it they are logged here.
        whole: whether these are all rows of the table, so that no key may be repeated and a row
            must be left; a reader in blocks checks this at the end, with ``check_whole_table``.
        shown: the rows as the user wrote them, for messages; by default ``frame``.

    Returns:
        A new table with the contract's columns first and the row labels of ``frame``.

    Raises:
        DataError: if the table breaks its contract; the message names the file, the column, the
            first faulty rows and the fix.
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
        for problem, rows, fix in faults:
            faulty = rows & ~bad  # a row with two faults is dropped, and counted, once
            if faulty.any():
                _handle_fault(source, name, problem, faulty, fix, shown, on_bad_rows, dropped)
                bad |= faulty
    extra = [name for name in frame if name not in table.columns]
    result = pd.DataFrame(columns | {name: frame[name] for name in extra}, index=frame.index)
    if bad.any():
        result = result[~bad].copy()
        if len(result) == 0 and not whole:
            return result
        _check_not_empty(result, source)
    for name in columns:
        result[name] = cast(result[name], table.columns[name])
    if whole:
        result = check_whole_table(
            table_name, result, source=source, on_bad_rows=on_bad_rows, dropped=dropped
        )
    return result


def check_whole_table(
    table_name: str,
    frame: pd.DataFrame,
    *,
    source: str = "",
    on_bad_rows: str = "raise",
    dropped: list[Dropped] | None = None,
) -> pd.DataFrame:
    """Return a table without rows that repeat the key of an earlier row.

    The arguments are those of ``validate``.

    Raises:
        DataError: if no row is left, or a key is repeated and ``on_bad_rows`` is ``raise``.
    """
    _check_not_empty(frame, source)
    key = list(TABLES[table_name].key)
    if not key or len(frame) < 2:
        return frame
    # a 64-bit hash per row is cheap; only rows of equal hashes are then compared exactly
    hashes = pd.util.hash_pandas_object(frame[key], index=False).to_numpy()
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated) == 0:
        return frame
    faulty = np.isin(hashes, repeated)
    faulty[faulty] = frame.loc[faulty, key].duplicated().to_numpy()
    if faulty.any():
        fix = f"each {key[0]} must occur once" if len(key) == 1 else "remove the second copies"
        _handle_fault(
            source or table_name, ", ".join(key), "repeat an earlier row", faulty, fix,
            frame, on_bad_rows, dropped,
        )  # fmt: skip
        return frame[~faulty]
    return frame


def validate_dataset(
    dataset: Dataset,
    *,
    sources: Mapping[str, str] | None = None,
    on_bad_rows: str = "raise",
) -> Dataset:
    """Check that all users and items in the tables are listed in ``users`` and ``items``.

    Args:
        dataset: tables that have passed ``validate``.
        sources: name of the file of each table, for messages.
        on_bad_rows: ``raise`` or ``drop``.

    Returns:
        The data set, without faulty rows, with row labels from 0.

    Raises:
        DataError: if a row names an unknown user or item and ``on_bad_rows`` is ``raise``.
    """
    sources = sources or {}
    dropped: list[Dropped] = []
    tables: dict[str, Any] = {}
    for name, frame in dataset.tables.items():
        for column, home in (("user_id", "users"), ("item_id", "items")):
            if name == home or column not in frame:
                continue
            known = getattr(dataset, home)[column]
            _check_kinds(frame[column], known, sources.get(name, name), sources.get(home, home))
            faulty = (~frame[column].isin(known) & frame[column].notna()).to_numpy(dtype=bool)
            if faulty.any():
                source = sources.get(name, name)
                _handle_fault(
                    source, column, f"name {home[:-1]}s that {sources.get(home, home)} lacks",
                    faulty, f"add them to {sources.get(home, home)}", frame, on_bad_rows, dropped,
                )  # fmt: skip
                frame = frame[~faulty]
                _check_not_empty(frame, source)
        tables[name] = frame.reset_index(drop=True)  # labels were row numbers of the files
    return replace(dataset, **tables, dropped=(*dataset.dropped, *report(dropped)))


def check_columns(
    table_name: str,
    frame: pd.DataFrame,
    source: str,
    required: Sequence[str] | None = None,
    advise: Callable[[dict[str, str]], Mapping[str, Any]] = dict,
) -> None:
    """Raise ``DataError`` if a required column is missing or a column is repeated.

    Args:
        table_name: a key of ``TABLES``.
        frame: the table; only its columns are read.
        source: name of the file, for the message.
        required: names that must be there; by default those that the contract requires.
        advise: returns the argument ``columns=`` to advise, from a mapping of the missing names.
    """
    repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if repeated:
        raise DataError(f"{source}: the header repeats the column {', '.join(repeated)}; rename it")
    if required is None:
        required = [n for n, c in TABLES[table_name].columns.items() if c.column == "required"]
    missing = [name for name in required if name not in frame]
    if missing:
        names = [str(name) for name in frame.columns]
        guess = _guess_names(missing, [name for name in names if name not in required])
        raise DataError(
            f"{source}: column {', '.join(missing)} is missing. The table {table_name} needs "
            f"{required}; found {names}. Rename the columns, or say which is which with columns="
            f"{advise({name: guess.get(name, '<its name in your file>') for name in missing})}"
        )


def _check_kinds(ids: pd.Series, known: pd.Series, source: str, home: str) -> None:
    """Raise ``DataError`` if one of two tables has ids as text and the other as whole numbers."""
    text = [isinstance(column.dtype, pd.StringDtype) for column in (ids, known)]
    if text[0] != text[1] and ids.notna().any():
        raise DataError(
            f"column {ids.name}: {source} has {'text' if text[0] else 'whole numbers'} such as "
            f"{ids.dropna().iloc[0]!r}, {home} has {'text' if text[1] else 'whole numbers'} such "
            f'as {known.iloc[0]!r}; make both the same, for text frame["{ids.name}"].astype("str")'
        )


#: Common names of columns in other data sets, letters and digits only.
_OTHER_NAMES = {
    "user_id": ("user", "uid", "customer", "customerid", "visitorid", "reviewerid", "memberid"),
    "item_id": ("item", "product", "productid", "sku", "asin", "movieid", "articleid", "contentid"),
    "timestamp": ("time", "ts", "date", "datetime", "unixtime", "eventtime", "createdat"),
}


def _guess_names(missing: list[str], names: list[str]) -> dict[str, str]:
    """Return likely names for missing columns, among the other names of the file."""
    plain = {"".join(c for c in name.lower() if c.isalnum()): name for name in reversed(names)}
    guess = {}
    for name in missing:
        own = name.replace("_", "")
        close = [n for n in (own, *_OTHER_NAMES.get(name, ())) if n in plain]
        close = close or difflib.get_close_matches(own, plain, 1, 0.8)
        if close:
            guess[name] = plain[close[0]]
    return guess


def _check_not_empty(frame: pd.DataFrame, source: str) -> None:
    if len(frame) == 0:
        raise DataError(f"{source}: every row was faulty, so none is left; the log says why")


def _handle_fault(
    source: str,
    column: str,
    problem: str,
    faulty: np.ndarray,
    fix: str,
    shown: pd.DataFrame,
    on_bad_rows: str,
    dropped: list[Dropped] | None,
) -> None:
    """Raise ``DataError`` for faulty rows, or log and record them."""
    indices = np.flatnonzero(faulty)
    first = shown.iloc[indices[:5], :8]
    labels = [int(label) for label in first.index]
    if on_bad_rows == "drop":
        entry = Dropped(source, column, problem, len(indices), tuple(labels))
        if dropped is None:
            log.warning("%s", entry)
        else:
            dropped.append(entry)
        return
    rows = "\n".join(
        f"  row {label}: " + ", ".join(f"{k}={v}"[:80] for k, v in row.items())
        for label, (_, row) in zip(labels, first.astype(object).iterrows(), strict=True)
    )
    end = f'(row 0 follows the header):\n{rows}\nFix: {fix}; or pass on_bad_rows="drop" to leave '
    raise FaultyRows(source, column, problem, len(indices), len(faulty), f"{end}these rows out.")


class FaultyRows(DataError):
    """Some rows of a table break its contract.

    Args:
        source: name of the file.
        column: name of the column.
        problem: what is wrong.
        n_faulty: number of rows of which this is true.
        n_rows: number of rows that were read.
        end: the end of the message: the first faulty rows, and the fix.
    """

    def __init__(
        self, source: str, column: str, problem: str, n_faulty: int, n_rows: int, end: str
    ) -> None:
        super().__init__(
            f"{source}, column {column}: {n_faulty} of {n_rows} rows {problem}. First of them {end}"
        )
        self.source, self.column, self.problem, self.end = source, column, problem, end
        self.n_faulty, self.n_rows = n_faulty, n_rows

    def with_further(self, blocks: Sequence[Dropped], n_rows: int) -> FaultyRows:
        """Return the same fault, counted in further rows too.

        Args:
            blocks: faults of the further rows, of any kind.
            n_rows: number of the further rows.
        """
        same = [e for e in blocks if (e.column, e.problem) == (self.column, self.problem)]
        n_faulty = self.n_faulty + sum(entry.rows for entry in same)
        total = self.n_rows + n_rows
        return FaultyRows(self.source, self.column, self.problem, n_faulty, total, self.end)


def report(entries: list[Dropped]) -> tuple[Dropped, ...]:
    """Log dropped rows; merge entries of the same file, column and problem."""
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
