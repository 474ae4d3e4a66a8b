"""Adapters: small bottleneck networks in series, and M6-Rec's option-adapter in parallel.

    h        becomes   h + W2 gelu(W1 h + b1) + b2,          W1: (m, d), W2: (d, m), m << d
    FFN(Z)   becomes   FFN(Z) + λ [σ(Z W1 + b1) W2 + b2],    W1: (d, r), W2: (r, d), r << d

``Adapters`` puts two of the first kind into each block, after attention and after the feed-forward
network, before the residual connections. ``OptionAdapter`` is the second, one in each block, with
one trained number λ; M6-Rec combines it with option tuning and trains about 1 % of the weights. The
σ, the r and the initial λ of the paper are not known to us: they are settings here. With the σ of
the feed-forward network itself, the branch is the same as r further hidden units of that network.

W2 and b2 start at 0, so that an adapted model starts as the pretrained one. Both add weights *and*
operations: unlike LoRA's product they have a non-linearity and cannot be merged into the weights
beside them. Sources: Houlsby et al., *Parameter-efficient transfer learning for NLP*, 2019; Cui et
al., *M6-Rec*, 2022, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.m6rec.adapt.method import Change, Method, blocks_of, check_size, replace_linear
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task
from m6rec_lite.nn.transformer import ACTIVATIONS, Block

SIGMAS: dict[str, Callable[[Tensor], Tensor]] = {**ACTIVATIONS, "sigmoid": torch.sigmoid}


class Bottleneck(nn.Module):
    """``W2 sigma(W1 x + b1) + b2``, which starts as 0.

    Args:
        width: m, at least 1 and at most d.
        sigma: the non-linearity.
        beside: a weight of the model, ``(d, …)``.
    """

    def __init__(self, width: int, sigma: Callable[[Tensor], Tensor], beside: Tensor) -> None:
        super().__init__()
        d = len(beside)
        check_size("width", width, d, ", the width of the model")
        self.down, self.up, self.sigma = nn.Linear(d, width), nn.Linear(width, d), sigma
        nn.init.normal_(self.down.weight, std=0.02)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)
        self.to(beside)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(…, d)`` to ``(…, d)``."""
        return self.up(self.sigma(self.down(x)))


class LinearWithAdapter(nn.Module):
    """A frozen linear map, followed by an adapter with its own residual connection."""

    def __init__(self, base: nn.Linear, width: int) -> None:
        super().__init__()
        self.base, self.adapter = base, Bottleneck(width, F.gelu, base.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(…, in)`` to ``(…, d)``."""
        h = self.base(x)
        return h + self.adapter(h)


@dataclass(frozen=True)
class Adapters(Method):
    """Two bottleneck adapters in every block.

    Args:
        width: m, of the bottleneck.

    Raises:
        ValueError: if the width is below 1.
    """

    name: ClassVar[str] = "adapters"
    width: int = 8

    def __post_init__(self) -> None:
        check_size("width", self.width)

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Put an adapter behind attention and behind the feed-forward network of each block."""
        return replace_linear(
            model, ("out", "down_proj"), lambda base: LinearWithAdapter(base, self.width)
        )


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
    return Block.ffn(self, z) + cast(Branch, self.branch)(z)


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
        for block in blocks_of(model):
            branch = Branch(self.width, self.sigma, self.scale, block.norm_ffn.weight)
            changes += [Change(block, "branch", branch)]
            changes += [Change(block, "ffn", MethodType(ffn_with_branch, block))]
        return changes
