"""Right answers to ``half_distance``, written in other ways."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.course.exercises.half_distance import RIGHT


def _by_table(d: int, base: float) -> int:
    steps = np.arange(5000)
    angles = steps[:, None] * base ** (-2 * np.arange(d // 2) / d)
    return int(np.argmax(np.cos(angles).mean(axis=1) < 0.5))


def _by_rotation(d: int, base: float) -> int:
    """Rotate a vector of ones and multiply it by the unrotated one."""
    angle = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    for steps in range(1, 5000):
        turn = torch.polar(torch.ones_like(angle), steps * angle)
        if 2 * turn.real.sum() < d / 2:
            return steps
    raise ValueError("not below one half")


CORRECT = (RIGHT, _by_table, _by_rotation)

EQUIVALENT = {
    "angles = base ** (-2 * np.arange(d / 2) / d)": "d is even",
    "steps = 2": "at a base above 1, one step is never enough",
    "steps = 0": "at no step the mean is 1",
    "while np.cos(steps * angles).mean() > 0.5:": "no mean is equal to the bound",
}
