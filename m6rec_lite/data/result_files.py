"""Result files that several runs share: locking, CSV upsert, and reading with checks.

A file that several processes change is read, changed and written inside ``locked(path)``. The
operating system releases the lock when its process ends, so a remaining lock file does not block.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from m6rec_lite.data.files import write_text
from m6rec_lite.data.tables import DataError

#: Default timeout of a lock in seconds.
PATIENCE = 120.0


@contextmanager
def locked(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold an exclusive lock on a file while the block runs.

    Args:
        path: the file; it need not exist.
        patience: timeout in seconds.

    Raises:
        TimeoutError: if another process holds the lock for longer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise TimeoutError(
            f"{path} has been locked by another process for {patience:.0f} s: wait for that "
            "process to end, or end it, and start again"
        ) from error
    try:
        yield
    finally:
        lock.release()


def read_rows(
    path: Path, columns: Iterable[str], *, text_columns: Iterable[str] = (), remedy: str = ""
) -> pd.DataFrame:
    """Read a CSV file that was written by code and check that it is complete.

    Args:
        path: the file.
        columns: required columns.
        text_columns: columns read as text; their empty cells become ``""``.
        remedy: remedy in the error message; by default to restore or remove the file.

    Raises:
        DataError: if a column is missing, a line has too few or too many cells, or the last line
            has no newline.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        header = lines[0] if lines else []
        missing = [name for name in columns if name not in header]
        uneven = [number for number, cells in enumerate(lines, 1) if len(cells) != len(header)]
        if not lines:
            fault = "it is empty"
        elif missing:
            fault = f"its header lacks {', '.join(missing)}"
        elif uneven:
            fault = f"line {uneven[0]} does not have the {len(header)} cells of the header"
        elif not text.endswith("\n"):
            fault = "its last line is cut off"
        else:
            texts = dict.fromkeys(text_columns, str)
            rows = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=["", "nan"])
            return rows.fillna({name: "" for name in texts if name in rows})
    except (ValueError, csv.Error) as error:  # not UTF-8, an open quote, no number
        fault = str(error)
    remedy = remedy or "restore it from a copy (git checkout, if it is tracked), or remove it"
    raise DataError(f"{path} is damaged: {fault}. Nothing was changed; {remedy}")


def upsert_rows(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    key: Sequence[str],
    *,
    text_columns: Iterable[str] = (),
    order: Callable[[pd.Index], Sequence[str]] = list,
    digits: int = 6,
    remedy: str = "",
) -> pd.DataFrame:
    """Append rows to a CSV file, replacing rows with the same key.

    Args:
        path: the file; created if missing.
        rows: at least one row; each has the columns of ``key``.
        key: columns that identify a row.
        text_columns: further columns read as text, beside the key columns that are not numeric.
        order: function that returns the columns in the order in which to write them.
        digits: significant digits of floats.
        remedy: see ``read_rows``.

    Returns:
        The table as written.

    Raises:
        ValueError: if there are no rows, or a row lacks a column of the key.
        DataError: if the existing file is damaged; it is not changed.
    """
    missing = [name for name in key for row in rows if name not in row]
    if missing or not rows:
        fault = f"one lacks {missing[0]!r}" if missing else "there is none"
        raise ValueError(f"wanted rows with {', '.join(key)}; {fault}")
    table = pd.DataFrame(list(rows))
    with locked(path):
        if path.is_file():
            old = read_rows(
                path, key, text_columns={*text_columns, *_texts(table, key)}, remedy=remedy
            )
            replaced = set(_keys(table, key))
            old = old[[values not in replaced for values in _keys(old, key)]]
            if len(old):
                table = pd.concat([old, table], ignore_index=True)
        table = table[list(order(table.columns))]
        write_text(path, table.to_csv(index=False, float_format=f"%.{digits}g"))
    return table


def has_row(path: Path, row: Mapping[str, Any], key: Sequence[str]) -> bool:
    """Return whether a CSV file has a row with the same key as ``row``.

    Raises:
        DataError: if the file is damaged.
    """
    if not path.is_file():
        return False
    query = pd.DataFrame([row])
    rows = read_rows(path, key, text_columns=_texts(query, key))
    return _keys(query, key)[0] in _keys(rows, key)


def _texts(table: pd.DataFrame, key: Sequence[str]) -> list[str]:
    """Return the columns of a key that are not numeric."""
    return [name for name in key if not pd.api.types.is_numeric_dtype(table[name])]


def _keys(table: pd.DataFrame, key: Sequence[str]) -> list[tuple[str | float, ...]]:
    """Return the key of each row, with all numbers as floats."""
    return [
        tuple(float(v) if isinstance(v, Real) else str(v) for v in values)
        for values in table[list(key)].itertuples(index=False)
    ]


def read_json(path: Path) -> Any:
    """Read a JSON file that was written by code.

    Raises:
        DataError: if it is not valid JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is damaged: {error}. Nothing was changed; restore it from a copy, or remove "
            "it and run again what writes it"
        ) from error
