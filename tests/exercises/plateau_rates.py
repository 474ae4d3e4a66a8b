"""Right answers to ``plateau_rates``, written in other ways."""

from __future__ import annotations

import torch

from m6rec_lite.course.exercises.plateau_rates import _plateau


def _by_torch(losses, lr, factor, patience, lowest):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, min_lr=lowest, threshold=0.0, eps=0.0
    )
    rates = []
    for loss in losses:
        plateau.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


CORRECT = (_by_torch, _plateau())

EQUIVALENT = {
    "best, waited, rates = (float('inf'), 1, [])": "the first loss sets it to 0",
    "best, waited, rates = (float('inf'), -1, [])": "likewise",
}
