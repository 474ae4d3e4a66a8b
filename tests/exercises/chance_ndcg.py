"""Right answers to ``chance_ndcg``, written in other ways."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.chance_ndcg import RIGHT
from m6rec_lite.evaluation import TargetRanks, accuracy


def _by_sorting(scores: np.ndarray, hidden: np.ndarray, k: int) -> float:
    order = np.argsort(-scores, axis=1)[:, :k]
    gains = (order == hidden[:, None]) / np.log2(np.arange(2, order.shape[1] + 2))
    return float(gains.sum() / len(scores))


def _in_loops(scores: np.ndarray, hidden: np.ndarray, k: int) -> float:
    total = 0.0
    for row, item in zip(scores.tolist(), hidden.tolist(), strict=True):
        rank = 1 + sum(score > row[item] for score in row)
        total += 1 / math.log2(rank + 1) if rank <= k else 0.0
    return total / len(hidden)


def _by_package(scores: np.ndarray, hidden: np.ndarray, k: int) -> float:
    rows = np.arange(len(scores))
    ranks = TargetRanks.from_scores(scores.astype(float), rows=rows, targets=hidden)
    return float(accuracy(ranks, (k,))[f"ndcg@{k}"].mean())


CORRECT = (RIGHT, _by_sorting, _in_loops, _by_package)

EQUIVALENT = {"own = scores[np.arange(len(hidden)), hidden]": "both have one row a person"}
