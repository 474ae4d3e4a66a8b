"""Right answers to ``gate_bias``, written in other ways."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.gate_bias import _bias


def _by_grid(steps: int, share: float) -> float:
    biases = np.arange(200) / 10
    return float(biases[(1 / (1 + np.exp(-biases))) ** steps >= share][0])


def _by_logarithm(steps: int, share: float) -> float:
    tenths = 0
    while -steps * math.log1p(math.exp(-tenths / 10)) < math.log(share):
        tenths += 1
    return tenths / 10


CORRECT = (_bias, _by_grid, _by_logarithm)

EQUIVALENT: dict[str, str] = {}
