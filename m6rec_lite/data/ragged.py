"""Rows of different lengths, stored end to end: offsets, and indices into them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Return ``(n + 1,)`` int64: row ``i`` lies at ``offsets[i] : offsets[i + 1]``."""
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return ``start, start + 1, …`` of each of ``n`` ranges, one range after another.

    Args:
        starts: ``(n,)`` first numbers.
        lengths: ``(n,)`` how many numbers each range has; 0 is allowed.

    Returns:
        ``(sum of lengths,)`` int64.
    """
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)


def positions_in_rows(lengths: np.ndarray) -> np.ndarray:
    """Return ``0, 1, …, length - 1`` of each row, one row after another."""
    return ranges(np.zeros_like(lengths), lengths)


def row_indices(rows: slice | int | np.ndarray | Sequence[int], n: int) -> np.ndarray:
    """Return the indices of some of ``n`` rows: a slice, a mask, indices, or one index."""
    if not isinstance(rows, slice):
        rows = np.asarray(rows)
        rows = rows.astype(np.int64) if rows.size == 0 and rows.dtype != bool else rows
    return np.atleast_1d(np.arange(n)[rows])
