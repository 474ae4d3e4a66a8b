"""Right answers to ``overbid_share``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.overbid_share import _share
from m6rec_lite.ctr import second_price


def _by_package(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    best, ours = (second_price(f * rates, others).profit(rates).mean() for f in (1.0, factor))
    return ours / best


def _by_loop(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    best = ours = 0.0
    for rate, other in zip(rates, others, strict=True):
        best += max(rate - other, 0.0)
        ours += (rate - other) if factor * rate > other else 0.0
    return ours / best


CORRECT = (_share, _by_package, _by_loop)

EQUIVALENT = {
    "gain = others - rates": "both profits change their sign",
    "best = gain[rates >= others].sum()": "where both are equal the gain is 0",
}
