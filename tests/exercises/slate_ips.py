"""Right answers to ``slate_ips``, written in other ways."""

from __future__ import annotations

import numpy as np
from scipy import stats

from m6rec_lite.course.exercises.slate_ips import _slate_ips


def _by_loops(rewards: np.ndarray, propensities: np.ndarray, target: np.ndarray) -> tuple:
    clicks = []
    for slate in zip(rewards, propensities, target, strict=True):
        clicks.append(sum(r * q / p for r, p, q in zip(*slate, strict=True)))
    return np.mean(clicks), stats.sem(clicks)


def _by_einsum(rewards: np.ndarray, propensities: np.ndarray, target: np.ndarray) -> tuple:
    clicks = np.einsum("nk,nk,nk->n", rewards, 1 / propensities, target)
    return clicks.mean(), np.sqrt(clicks.var(ddof=1) / clicks.size)


CORRECT = (_slate_ips, _by_loops, _by_einsum)

EQUIVALENT: dict[str, str] = {}
