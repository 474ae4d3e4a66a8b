"""Right answers to ``bpr_max_loss``, written in other ways."""

from __future__ import annotations

import math

import numpy as np
import torch

from m6rec_lite.course.exercises.bpr_max_loss import _loss
from m6rec_lite.nn import bpr_max


def _package(positive: np.ndarray, negative: np.ndarray) -> torch.Tensor:
    return bpr_max(torch.tensor(positive), torch.tensor(negative), regularization=0.0)


def _by_loops(positive: np.ndarray, negative: np.ndarray) -> float:
    total = 0.0
    for r, row in zip(positive, negative, strict=True):
        whole = sum(math.exp(n) for n in row)
        total -= math.log(sum(math.exp(n) / whole / (1 + math.exp(n - r)) for n in row))
    return total / len(positive)


CORRECT = (_loss, _package, _by_loops)

EQUIVALENT: dict[str, str] = {}
