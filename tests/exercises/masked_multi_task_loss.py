"""Right answers to ``masked_multi_task_loss``, written in other ways."""

from __future__ import annotations

import math

import numpy as np


def _loss(p: np.ndarray, y: np.ndarray) -> float:
    present = ~np.isnan(y)
    labels = np.where(present, y, 0.0)
    each = labels * np.log(p) + (1 - labels) * np.log(1 - p)
    return -float((each * present).sum() / len(p))


def _loss_by_loops(p: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for probabilities, labels in zip(p, y, strict=True):
        for q, label in zip(probabilities, labels, strict=True):
            if not math.isnan(label):
                total -= math.log(q if label else 1 - q)
    return total / len(p)


CORRECT = (_loss, _loss_by_loops)

EQUIVALENT = {
    "y = np.where(present, y, 1.0)": "the term of a missing label is multiplied by 0",
    "y = np.where(present, y, -1.0)": "the term of a missing label is multiplied by 0",
    "y = np.where(y, present, 0.0)": "of labels 0, 1 and NaN the result is the same",
    "return -float((each * present).sum() / len(y))": "both have one row a row",
}
