"""Right answers to ``gap_p_value``, written in other ways."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.course.exercises.gap_p_value import _answer


def _by_pandas(values: np.ndarray, groups: np.ndarray, orders: np.ndarray) -> tuple[float, float]:
    def gap(x: np.ndarray) -> float:
        means = pd.Series(x).groupby(groups).mean()
        return float(means.max() - means.min())

    gaps = [gap(values), *(gap(values[order]) for order in orders)]
    return gaps[0], float(np.mean(np.array(gaps) >= gaps[0] - 1e-12))


def _permuted_groups(
    values: np.ndarray, groups: np.ndarray, orders: np.ndarray
) -> tuple[float, float]:
    codes = np.unique(groups, return_inverse=True)[1]
    counts = np.bincount(codes)

    def gap(codes: np.ndarray) -> float:
        return float(np.ptp(np.bincount(codes, values) / counts))

    observed, count = gap(codes), 0
    for order in orders:
        mixed = np.empty_like(codes)
        mixed[order] = codes  # the user order[i] gets the group of index i
        count += gap(mixed) >= observed - 1e-12
    return observed, (1 + count) / (1 + len(orders))


CORRECT = (_answer, _by_pandas, _permuted_groups)

EQUIVALENT = {
    "means = [x[groups == group].mean() for group in groups]": "a repeated mean changes no gap",
    "means = [x[groups == group].mean() for group in np.asarray(groups)]": "likewise",
}
