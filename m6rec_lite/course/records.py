"""Measured rows in a CSV file: a row that is measured again takes the place of the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from m6rec_lite.course.files import locked, read_rows
from m6rec_lite.data.files import write_text


def put(path: Path, rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> pd.DataFrame:
    """Write rows into a file beside those that are there.

    Args:
        path: the file; made if there is none.
        rows: at least one; each holds the columns of ``key``.
        key: rows that agree in these are the same measurement, and the newer one stays.

    Returns:
        The table as it now stands.

    Raises:
        ValueError: if there is no row, or one lacks a column of the key.
        DataError: if the file that is there is damaged; it stays as it is.
    """
    if not rows or (lacking := [name for name in key for row in rows if name not in row]):
        what = f"one lacks {lacking[0]!r}" if rows else "there is none"
        raise ValueError(f"wanted rows with {', '.join(key)}; {what}")
    table = pd.DataFrame(list(rows))
    with locked(path):
        if path.is_file():
            words = [name for name in key if not pd.api.types.is_numeric_dtype(table[name])]
            old = read_rows(path, key, words=words)
            mine = set(_keys(table, key))
            kept = [one not in mine for one in _keys(old, key)]
            if any(kept):
                table = pd.concat([old[kept], table], ignore_index=True)
        write_text(path, table.to_csv(index=False, float_format="%.6g"))
    return table


def _keys(table: pd.DataFrame, key: Sequence[str]) -> list[tuple[str | float, ...]]:
    """Each row's key; a file says 4000 for 4000.0, and both are one number."""
    return [
        tuple(float(v) if isinstance(v, Real) else str(v) for v in one)
        for one in table[list(key)].itertuples(index=False)
    ]
