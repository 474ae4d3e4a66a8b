"""Right answers to ``click_rate``, written in other ways."""

from __future__ import annotations

import numpy as np
import pandas as pd


def _by_pivot(responses: pd.DataFrame) -> tuple[float, float]:
    table = responses.pivot_table(index="slate_id", columns="position", values="clicked")
    rates = table.to_numpy(float).mean(axis=1)
    spread = np.sqrt(((rates - rates.mean()) ** 2).sum() / (len(rates) - 1))
    return float(rates.mean()), float(spread / np.sqrt(len(rates)))


CORRECT = (_by_pivot,)
