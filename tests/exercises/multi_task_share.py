"""Right answers to ``multi_task_share``, written in other ways."""

from __future__ import annotations

import numpy as np


def _share(x: np.ndarray, clicked: np.ndarray, stars: np.ndarray, alpha: float) -> float:
    multi_task = alpha * np.linalg.norm(x.T @ (0.5 - clicked))
    finetune = np.linalg.norm(2 * (x * stars[:, None]).mean(axis=0))
    return float(multi_task / (multi_task + finetune))


def _share_by_rows(x: np.ndarray, clicked: np.ndarray, stars: np.ndarray, alpha: float) -> float:
    first, second = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for features, click, star in zip(x, clicked, stars, strict=True):
        first += alpha * (1 / (1 + np.exp(0)) - click) * features
        second += 2 * (0 - star) * features / len(x)
    lengths = [np.sqrt(g @ g) for g in (first, second)]
    return lengths[0] / sum(lengths)


CORRECT = (_share, _share_by_rows)

EQUIVALENT = {
    "multi_task = alpha * x.T @ (clicked - 0.5)": "the length of a vector has no sign",
    "finetune = 2 * x.T @ stars / len(x)": "the length of a vector has no sign",
    "finetune = -2 * x.T @ stars / len(clicked)": "both have one entry a row",
}
