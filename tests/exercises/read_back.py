"""Right answers to ``read_back``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.read_back import _read_back


def _by_blocks(w: np.ndarray, bits: int, block: int) -> np.ndarray:
    found = np.zeros(len(w))
    for start in range(0, len(w), block):
        part = w[start : start + block]
        scale = max(abs(part)) / (2 ** (bits - 1) - 1)
        if scale:
            found[start : start + block] = np.rint(part / scale) * scale
    return found


CORRECT = (_read_back, _by_blocks)

EQUIVALENT = {
    "parts = w.reshape(-2, block)": "numpy takes every negative number for the unknown length",
    "scale = np.abs(parts).max(axis=1, keepdims=True) / (1 - 2 ** (bits - 1))": (
        "codes and scale both change their sign"
    ),
    "scale[scale == 0] = 1.5": "0 over any number is 0",
    "scale[scale == 0] = -1.0": "0 over any number is 0",
    "return (np.round(parts / scale) * scale).reshape(-2)": (
        "numpy takes every negative number for the unknown length"
    ),
}
