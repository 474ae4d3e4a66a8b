"""Right answers to ``masked_mean``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.masked_mean import _real


def _mean_state(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    real = _real(states, lengths)
    return (states * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


def _row_by_row(states: np.ndarray, lengths: np.ndarray) -> list:
    zero = np.zeros(states.shape[2])
    return [row[:n].mean(axis=0) if n else zero for row, n in zip(states, lengths, strict=True)]


CORRECT = (_mean_state, _row_by_row)
