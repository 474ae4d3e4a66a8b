"""Right answers to ``in_batch_loss``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.in_batch_loss import _loss


def _loss_by_items(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    """The chapter's formula: one weight c / (n q) for each different item."""
    used, first, counts = np.unique(item, return_index=True, return_counts=True)
    logits = scores[:, first] + np.log(counts / (len(item) * q[used]))
    right = logits[used[None, :] == item[:, None]]
    return float((np.log(np.exp(logits).sum(axis=1)) - right).mean())


def _loss_by_loops(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    total, n = 0.0, len(item)
    for i in range(n):
        weights = [np.exp(scores[i, j]) / q[item[j]] for j in range(n)]
        total -= np.log(sum(w for w, k in zip(weights, item, strict=True) if k == item[i]))
        total += np.log(sum(weights))
    return total / n


CORRECT = (_loss, _loss_by_items, _loss_by_loops)

EQUIVALENT = {
    "right = item[:, None] == item": "a vector broadcasts as a row",
}
