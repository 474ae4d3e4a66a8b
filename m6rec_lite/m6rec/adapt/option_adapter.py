"""The option-adapter: a narrow network in parallel with the feed-forward network of each block.

    FFN(Z)   becomes   FFN(Z) + λ [σ(Z W1 + b1) W2 + b2],     W1: (d, r), W2: (r, d), r well below d

λ is one trained number a block. W2 and b2 start at 0, so that an adapted model starts as the
pretrained one. M6-Rec combines it with option tuning and trains about 1 % of the weights. The σ,
the r and the initial λ of the paper are not known to us: they are settings here. With the σ of the
feed-forward network itself, the branch is the same as r further hidden units of that network.
Source: Cui et al., *M6-Rec*, 2022, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import ClassVar

import torch
from torch import Tensor, nn

from m6rec_lite.m6rec.adapt.adapters import Bottleneck
from m6rec_lite.m6rec.adapt.method import Change, Method, check_size
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task
from m6rec_lite.nn.transformer import ACTIVATIONS, Block

SIGMAS: dict[str, Callable[[Tensor], Tensor]] = {**ACTIVATIONS, "sigmoid": torch.sigmoid}


class Branch(Bottleneck):
    """``λ [σ(Z W1 + b1) W2 + b2]``; λ is ``scale``."""

    def __init__(self, width: int, sigma: str, scale: float, beside: Tensor) -> None:
        super().__init__(width, SIGMAS[sigma], beside)
        self.scale = nn.Parameter(torch.tensor(scale).to(beside))

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(…, d)`` to ``(…, d)``."""
        return self.scale * super().forward(z)


def ffn_with_branch(self: Block, z: Tensor) -> Tensor:
    """Apply the feed-forward network and the branch beside it; replaces ``Block.ffn``."""
    return Block.ffn(self, z) + self.branch(z)


@dataclass(frozen=True)
class OptionAdapter(Method):
    """A parallel branch at every feed-forward network.

    Args:
        width: r, of the branch.
        sigma: σ: ``relu``, ``gelu``, ``gelu_tanh`` or ``sigmoid``.
        scale: initial λ.

    Raises:
        ValueError: if the width is below 1, or σ unknown.
    """

    name: ClassVar[str] = "option_adapter"
    width: int = 16
    sigma: str = "gelu"
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_size("width", self.width)
        if self.sigma not in SIGMAS:
            raise ValueError(f"sigma must be one of {sorted(SIGMAS)}, got {self.sigma!r}")

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Add a branch to each block."""
        changes = []
        for block in model.blocks:
            branch = Branch(self.width, self.sigma, self.scale, block.norm_ffn.weight)
            changes += [Change(block, "branch", branch)]
            changes += [Change(block, "ffn", MethodType(ffn_with_branch, block))]
        return changes
