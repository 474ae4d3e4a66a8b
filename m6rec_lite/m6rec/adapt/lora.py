"""LoRA: a frozen matrix plus a trained product of two small ones.

    W x + b   becomes   W x + b + (alpha / r) B A x,     A: (r, in), B: (out, r)

B starts at 0, so that an adapted model starts as the pretrained one. After training the product can
be added to W (``merge``): the merged model is as fast as the pretrained one. Source: Hu et al.,
*LoRA: low-rank adaptation of large language models*, 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.m6rec.adapt.method import (
    TARGETS,
    Change,
    Method,
    check_size,
    check_targets,
    replace_linear,
)
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task
from m6rec_lite.nn.dropout import Dropout


class LowRank(nn.Module):
    """A frozen linear map with a trained low-rank matrix beside it; ``delta`` returns that matrix.

    Args:
        base: the frozen linear map.
        rank: r, at least 1 and at most the smaller side of the matrix.
        alpha: the product is multiplied by ``alpha / rank``, so that the rank can be changed with
            about the same learning rate.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        smaller = min(base.in_features, base.out_features)
        check_size("rank", rank, smaller, ", the smaller side of the matrix")
        self.base, self.scale = base, alpha / rank
        self._before_merge: Tensor | None = None

    @property
    def merged(self) -> bool:
        """Whether the low-rank matrix is part of the base's weight at present."""
        return self._before_merge is not None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(…, in)`` to ``(…, out)``."""
        return self.base(x) if self.merged else self.base(x) + self.scale * self.product(x)

    def product(self, x: Tensor) -> Tensor:
        """Return the low-rank product of ``(…, in)``, without the scale."""
        raise NotImplementedError

    def delta(self) -> Tensor:
        """Return the matrix that is added to the base's weight, ``(out, in)``."""
        raise NotImplementedError

    @torch.no_grad()
    def merge(self) -> None:
        """Add the low-rank matrix to the base's weight."""
        if not self.merged:
            self._before_merge = self.base.weight.clone()
            self.base.weight += self.delta()

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore the base's weight, bit for bit: subtracting would leave rounding errors."""
        if self._before_merge is not None:
            self.base.weight.copy_(self._before_merge)
            self._before_merge = None


class LoRALinear(LowRank):
    """``W x + b + (alpha / rank) B A x``, with dropout before A in training.

    Attributes:
        a: ``(rank, in)``.
        b: ``(out, rank)``.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__(base, rank, alpha)
        self.a = nn.Parameter(torch.empty(rank, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))  # as nn.Linear draws its weights
        self.dropout = Dropout(dropout)
        self.to(base.weight)

    def product(self, x: Tensor) -> Tensor:
        """Return ``B A x``."""
        return F.linear(F.linear(self.dropout(x), self.a), self.b)

    def delta(self) -> Tensor:
        """Return ``(alpha / rank) B A``."""
        return self.scale * (self.b @ self.a)


@dataclass(frozen=True)
class LoRA(Method):
    """Low-rank weights beside the linear maps of every block.

    Args:
        rank: r.
        alpha: numerator of the scale; by default twice the rank.
        targets: names of the linear maps: ``qkv`` (queries, keys and values), ``out``, ``up_proj``,
            ``down_proj``.
        dropout: of the inputs of the low-rank weights.

    Raises:
        ValueError: if the rank is below 1, or a target is unknown.
    """

    name: ClassVar[str] = "lora"
    rank: int = 2
    alpha: float | None = None
    targets: Sequence[str] = TARGETS
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_size("rank", self.rank)
        object.__setattr__(self, "targets", check_targets(self.targets))

    def changes(self, model: M6RecModel, task: Task | None) -> list[Change]:
        """Replace each target by one with low-rank weights beside it."""
        alpha = 2.0 * self.rank if self.alpha is None else self.alpha
        return replace_linear(
            model, self.targets, lambda base: LoRALinear(base, self.rank, alpha, self.dropout)
        )
