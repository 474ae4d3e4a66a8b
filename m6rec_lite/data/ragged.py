"""Ragged arrays: rows of different lengths, concatenated, with their offsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Return ``(n + 1,)`` int64 offsets: row ``i`` is ``offsets[i] : offsets[i + 1]``."""
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the concatenated ranges ``start, start + 1, …, start + length - 1``.

    Args:
        starts: ``(n,)`` first numbers.
        lengths: ``(n,)`` lengths of the ranges, 0 or more.

    Returns:
        ``(sum of lengths,)`` int64.
    """
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)


def positions_in_rows(lengths: np.ndarray) -> np.ndarray:
    """Return the concatenated positions ``0, 1, …, length - 1`` of all rows."""
    return ranges(np.zeros_like(lengths), lengths)


def row_indices(rows: slice | int | np.ndarray | Sequence[int], n: int) -> np.ndarray:
    """Return the ``(m,)`` indices of rows selected by a slice, a mask, indices, or one index."""
    if not isinstance(rows, slice):
        rows = np.asarray(rows)
        rows = rows.astype(np.int64) if rows.size == 0 and rows.dtype != bool else rows
    return np.atleast_1d(np.arange(n)[rows])
