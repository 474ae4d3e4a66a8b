"""Right answers to ``rate_regret``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.rate_regret import _rate_regret
from m6rec_lite.ctr import second_price


def _by_package(rates: np.ndarray, true_rates: np.ndarray, others: np.ndarray) -> float:
    honest, ours = (second_price(bids, others).profit(true_rates) for bids in (true_rates, rates))
    return honest.mean() - ours.mean()


def _by_loop(rates: np.ndarray, true_rates: np.ndarray, others: np.ndarray) -> float:
    lost = 0.0
    for rate, true, other in zip(rates, true_rates, others, strict=True):
        lost += max(true - other, 0.0) - (true - other) * (rate > other)
    return lost / len(rates)


CORRECT = (_rate_regret, _by_package, _by_loop)

EQUIVALENT = {
    "best = np.where(true_rates >= others, gain, 0.0)": "where both are equal the gain is 0",
}
