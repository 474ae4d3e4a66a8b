"""Right answers to ``click_rate``, written in other ways."""

from __future__ import annotations

import statistics

import numpy as np
import pandas as pd


def _by_pivot(responses: pd.DataFrame) -> tuple[float, float]:
    table = responses.pivot_table(index="slate_id", columns="position", values="clicked")
    rates = table.to_numpy(float).mean(axis=1)
    spread = np.sqrt(((rates - rates.mean()) ** 2).sum() / (len(rates) - 1))
    return float(rates.mean()), float(spread / np.sqrt(len(rates)))


def _by_slates(responses: pd.DataFrame) -> tuple[float, float]:
    slates: dict[int, list[bool]] = {}
    for slate, clicked in zip(responses["slate_id"], responses["clicked"], strict=True):
        slates.setdefault(slate, []).append(clicked)
    rates = [statistics.mean(map(int, clicks)) for clicks in slates.values()]
    return statistics.mean(rates), statistics.stdev(rates) / len(rates) ** 0.5


CORRECT = (_by_pivot, _by_slates)
