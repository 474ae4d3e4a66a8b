"""Ragged arrays: rows of different lengths, concatenated, with their offsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse


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


def after_last(times: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return ``(n,)`` int64: the last time of each row plus 1, or 0 for an empty row."""
    after = np.zeros(len(offsets) - 1, dtype=np.int64)
    active = np.diff(offsets) > 0
    after[active] = times[offsets[1:][active] - 1] + 1
    return after


def row_indices(rows: slice | int | np.ndarray | Sequence[int], n: int) -> np.ndarray:
    """Return the ``(m,)`` indices of rows selected by a slice, a mask, indices, or one index."""
    if not isinstance(rows, slice):
        rows = np.asarray(rows)
        rows = rows.astype(np.int64) if rows.size == 0 and rows.dtype != bool else rows
    return np.atleast_1d(np.arange(n)[rows])


def sparse_sums(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], weights: np.ndarray | None
) -> sparse.csr_array:
    """Return a sparse matrix of the sums of weights, or of ones where there is an entry."""
    data = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)
    matrix = sparse.coo_array((data, (rows, columns)), shape=shape).tocsr()
    if weights is None:
        matrix.data[:] = 1.0
    return matrix
