"""Right answers to ``window_hits``, written in other ways."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from m6rec_lite.course.exercises.window_hits import _hits


def _by_counter(items: np.ndarray, times: np.ndarray, cut: float, days: float, k: int) -> float:
    rows = list(zip(items.tolist(), times.tolist(), strict=True))
    counts = Counter(item for item, time in rows if cut - days <= time < cut)
    every = sorted(set(range(int(items.max()) + 1)), key=lambda item: (-counts[item], item))
    top, later = set(every[:k]), [item for item, time in rows if time >= cut]
    return sum(item in top for item in later) / len(later)


def _by_pandas(items: np.ndarray, times: np.ndarray, cut: float, days: float, k: int) -> float:
    log = pd.DataFrame({"item": items, "time": times})
    window = log[log["time"].between(cut - days, cut, inclusive="left")]
    counts = window["item"].value_counts().reindex(range(items.max() + 1), fill_value=0)
    top = counts.sort_values(ascending=False, kind="stable").index[:k]
    return float(log.loc[log["time"] >= cut, "item"].isin(top).mean())


CORRECT = (_hits, _by_counter, _by_pandas)

EQUIVALENT = {
    "counts = np.bincount(items[window], minlength=items.max() + 2)": "that item does not occur",
}
