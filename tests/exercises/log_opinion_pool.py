"""Right answers to ``log_opinion_pool``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.log_opinion_pool import _normal


def _pool_in_logs(base: np.ndarray, experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    score = np.log(base) + np.asarray(weights) @ (np.log(experts) - np.log(base))
    return _normal(np.exp(score - score.max()))


def _pool(base: np.ndarray, experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    lifts = (experts / base) ** np.asarray(weights)[:, None]
    return _normal(base * lifts.prod(axis=0))


CORRECT = (
    _pool,
    _pool_in_logs,
    lambda base, experts, weights: _pool_in_logs(base, experts, weights).tolist(),
)
