"""Right answers to ``gru_step``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.gru_step import _gru, _slip


def _one_by_one(
    x: np.ndarray,
    h: np.ndarray,
    W_i: np.ndarray,
    W_h: np.ndarray,
    b_i: np.ndarray,
    b_h: np.ndarray,
) -> list[float]:
    """The same, unit after unit, in plain loops."""
    d, new = len(h), []
    for j in range(d):
        of_x = [float(W_i[gate * d + j] @ x + b_i[gate * d + j]) for gate in range(3)]
        of_h = [float(W_h[gate * d + j] @ h + b_h[gate * d + j]) for gate in range(3)]
        r, z = (1 / (1 + np.exp(-(a + b))) for a, b in zip(of_x[:2], of_h[:2], strict=True))
        n = np.tanh(of_x[2] + r * of_h[2])
        new.append(float(n + z * (h[j] - n)))
    return new


CORRECT = (
    _slip(""),
    _one_by_one,
    lambda x, h, W_i, W_h, b_i, b_h: _gru(x, h, W_i, W_h, b_i, b_h).tolist(),
)
