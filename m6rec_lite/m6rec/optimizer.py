"""The optimizer of pretraining and of multi-task training."""

from __future__ import annotations

import torch
from torch import nn


def make_adamw(
    module: nn.Module, *, lr: float, weight_decay: float, betas: tuple[float, float]
) -> torch.optim.AdamW:
    """Return a fused AdamW that decays matrices, and neither biases nor norms.

    Args:
        module: whose parameters are trained.
        lr: learning rate.
        weight_decay: of parameters with two or more dimensions.
        betas: decay rates of both moments.
    """
    groups = [
        {"params": [p for p in module.parameters() if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in module.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True)
