"""Right answers to ``nucleus_size``, written in other ways."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.course.exercises.nucleus_size import _size
from m6rec_lite.nn import temperature, top_p


def _by_the_package(logits: np.ndarray, t: float, p: float) -> int:
    kept = top_p(temperature(torch.from_numpy(logits)[None], t), p)
    return int(torch.isfinite(kept).sum())


def _in_a_loop(logits: np.ndarray, t: float, p: float) -> int:
    weights = np.exp((logits - logits.max()) / t)
    total, n = 0.0, 0
    for weight in sorted(weights / weights.sum(), reverse=True):
        if total >= p - 1e-12:
            break
        total, n = total + weight, n + 1
    return n


CORRECT = (_size, _in_a_loop)

EQUIVALENT = {
    "return int((sums < p - 1e-12).sum()) + 1": "the last sum is 1, up to rounding",
    "return int((sums[:] < p - 1e-12).sum()) + 1": "likewise",
    "return int((sums[:-1] <= p - 1e-12).sum()) + 1": "no sum is equal to the bound",
    "return int((sums[:-1] < p - 1.5e-12).sum()) + 1": "rounding is smaller than both",
}
