"""Right answers to ``joint_loss``, written in other ways."""

from __future__ import annotations

import numpy as np


def _joint(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> float:
    """The right answer: sum of w L over sum of w, of the objectives that are there."""
    there = [k for k in range(len(weights)) if (kind == k).any()]
    total = sum(weights[k] * nats[kind == k].mean() for k in there)
    return float(total / sum(weights[k] for k in there))


def _joint_by_counts(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> float:
    n = np.bincount(kind, minlength=len(weights))
    each = np.bincount(kind, weights=nats, minlength=len(weights)) / np.maximum(n, 1)
    return float((weights * each).sum() / weights[n > 0].sum())


CORRECT = (_joint, _joint_by_counts)
