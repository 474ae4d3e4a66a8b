"""Right answers to ``last_state``, written in other ways."""

from __future__ import annotations

import numpy as np


def last_state(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(batch, d): each row's state after its own last step; zeros for an empty row."""
    lengths = np.asarray(lengths)
    ends = states[np.arange(len(states)), np.maximum(lengths - 1, 0)]
    return np.where(lengths[:, None] > 0, ends, 0.0)


def _row_by_row(states: np.ndarray, lengths: np.ndarray) -> list:
    zero = np.zeros(states.shape[2])
    return [row[n - 1] if n else zero for row, n in zip(states, lengths, strict=True)]


CORRECT = (last_state, _row_by_row)

EQUIVALENT = {
    "without: lengths = np.asarray(lengths)": "the lengths are an array",
    "ends = states[np.arange(len(lengths)), np.maximum(lengths - 1, 0)]": "each row has one length",
    "ends = states[np.arange(len(states)), np.maximum(lengths - 1, -1)]": (
        "the last line replaces the state of an empty row"
    ),
}
