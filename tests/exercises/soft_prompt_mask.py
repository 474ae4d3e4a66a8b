"""Right answers to ``soft_prompt_mask``, written in other ways."""

from __future__ import annotations

import numpy as np


def _mask(soft: int, known: int, time: int) -> np.ndarray:
    mask = np.tri(soft + time, dtype=bool)
    mask[:, : soft + known] = True
    return mask


def _mask_by_loops(soft: int, known: int, time: int) -> list[list[bool]]:
    total = range(soft + time)
    return [[j <= i or j < soft + known for j in total] for i in total]


CORRECT = (_mask, _mask_by_loops)
