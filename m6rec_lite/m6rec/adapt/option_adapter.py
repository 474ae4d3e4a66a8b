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
from typing import ClassVar

import torch
from torch import Tensor, nn

from m6rec_lite.m6rec.adapt.method import Change, Method, blocks_of, check_rank, like
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task
from m6rec_lite.nn.attention import FULL, AttentionContext
from m6rec_lite.nn.transformer import ACTIVATIONS, Block

SIGMAS: dict[str, Callable[[Tensor], Tensor]] = {**ACTIVATIONS, "sigmoid": torch.sigmoid}


class BlockWithBranch(nn.Module):
    """A pre-norm block whose feed-forward network has a parallel branch.

    Args:
        block: the frozen block.
        width: r.
        sigma: σ, a name of ``SIGMAS``.
        scale: initial λ.

    Raises:
        ValueError: if the width is below 1 or above d.
    """

    def __init__(self, block: Block, width: int, sigma: str, scale: float) -> None:
        super().__init__()
        d = block.config.hidden_size
        check_rank(width, d, what="width")
        self.block, self.sigma = block, SIGMAS[sigma]
        self.down, self.up = nn.Linear(d, width), nn.Linear(width, d)
        self.scale = nn.Parameter(torch.tensor(scale))  # λ
        nn.init.normal_(self.down.weight, std=0.02)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)
        like(self, block.norm_ffn.weight)

    def forward(self, x: Tensor, context: AttentionContext = FULL) -> Tensor:
        """Apply the block; arguments and result as in ``Block.forward``."""
        block = self.block
        x = x + block.dropout(block.attention(block.norm_attention(x), context))
        z = block.norm_ffn(x)  # (batch, time, d)
        return x + block.dropout(block.ffn(z) + self.branch(z))

    def branch(self, z: Tensor) -> Tensor:
        """Return ``λ [σ(Z W1 + b1) W2 + b2]``, of the shape of Z."""
        return self.scale * self.up(self.sigma(self.down(z)))


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
        check_rank(self.width, what="width")
        if self.sigma not in SIGMAS:
            raise ValueError(f"sigma must be one of {sorted(SIGMAS)}, got {self.sigma!r}")

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Replace each block by one with a branch."""
        return [
            Change(model.blocks, str(i), BlockWithBranch(block, self.width, self.sigma, self.scale))
            for i, block in enumerate(blocks_of(model))
        ]
