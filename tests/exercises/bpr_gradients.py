"""Right answers to ``bpr_gradients``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.bpr_gradients import _bpr


def _bpr_by_differences(u, v_i, v_j, h=1e-6):
    theta = [np.array(x, dtype=float) for x in (u, v_i, v_j)]
    grads = []
    for x in theta:
        g = np.zeros_like(x)
        for k in range(len(x)):
            ends = []
            for move in (h, -2 * h):
                x[k] += move
                ends.append(np.logaddexp(0, -theta[0] @ (theta[1] - theta[2])))
            x[k] += h
            g[k] = (ends[0] - ends[1]) / (2 * h)
        grads.append(g)
    return tuple(grads)


CORRECT = (_bpr(), _bpr_by_differences)

EQUIVALENT = {
    "slope = -1 / (1 + np.exp((v_i - v_j) @ u))": "the dot product of two vectors is symmetric",
}
