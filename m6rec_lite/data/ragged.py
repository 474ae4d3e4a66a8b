"""Rows of different lengths, stored end to end: offsets, and indices into them."""

from __future__ import annotations

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
