"""Right answers to ``gated_fusion``, written in other ways."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from m6rec_lite.course.exercises.gated_fusion import _gated


def _row_by_row(title, description, there, W, c) -> np.ndarray:
    rows = []
    for t, d, has in zip(title, description, there, strict=True):
        g = expit(np.hstack([t, d]) @ W + c) if has else 1.0
        rows.append(g * t + (1 - g) * d if has else t)
    return np.stack(rows)


CORRECT = (_gated, _row_by_row)

EQUIVALENT = {
    "without: description = np.where(there, description, 0.0)": (
        "the last line replaces what comes out of a missing description"
    ),
    "description = np.where(there, description, 1.0)": (
        "the last line replaces what comes out of a missing description"
    ),
    "description = np.where(there, description, -1.0)": (
        "the last line replaces what comes out of a missing description"
    ),
}
