"""Right answers to ``recalibrate``, written in other ways."""

from __future__ import annotations

import numpy as np


def _rescale_odds(p: np.ndarray, share: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        odds = p / (1 - p) * share
    return np.where(np.isinf(odds), 1.0, odds / (1 + np.where(np.isinf(odds), 0.0, odds)))


def _closed_form(p: np.ndarray, share: float) -> np.ndarray:
    return p / (p + (1 - p) / share)


CORRECT = (_closed_form, _rescale_odds)
