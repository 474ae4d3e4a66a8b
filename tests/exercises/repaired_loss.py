"""Right answers to ``repaired_loss``, written in other ways."""

from __future__ import annotations

import math

import numpy as np


def _loss(p: np.ndarray, actions: np.ndarray, finetune: float, alpha: float) -> float:
    clicked = actions >= 1
    right = np.where(clicked, p[:, 0], 1 - p[:, 0])
    bought = np.where(actions == 2, p[:, 1], 1 - p[:, 1])
    return finetune - alpha * (np.log(right).sum() + np.log(bought[clicked]).sum()) / len(p)


def _loss_by_loops(p: np.ndarray, actions: np.ndarray, finetune: float, alpha: float) -> float:
    total = 0.0
    for (click, buy), action in zip(p.tolist(), actions.tolist(), strict=True):
        total -= math.log(click if action else 1 - click)
        if action:
            total -= math.log(buy if action == 2 else 1 - buy)
    return alpha * total / len(p) + finetune


CORRECT = (_loss, _loss_by_loops)

EQUIVALENT = {
    "return float(finetune - alpha * total / len(actions))": "both have one entry a row",
}
