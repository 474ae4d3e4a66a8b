"""Right answers to ``list_price``, written in other ways."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.list_price import _price


def _by_loops(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> float:
    total = 0.0
    for old, new, wanted in zip(before.tolist(), after.tolist(), target.tolist(), strict=True):
        for sign, items in ((1, old), (-1, new)):
            if wanted in items:
                total += sign / math.log2(items.index(wanted) + 2)
    return total / len(target)


def _by_ranks(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> float:
    def ndcg(lists: np.ndarray) -> float:
        row, index = np.nonzero(lists == target[:, None])
        return float(np.bincount(row, 1 / np.log2(index + 2), minlength=len(lists)).mean())

    return ndcg(before) - ndcg(after)


CORRECT = (_price, _by_loops, _by_ranks)

EQUIVALENT = {
    "discount = 1 / np.log2(np.arange(2, after.shape[1] + 2))": "both lists have one length",
}
