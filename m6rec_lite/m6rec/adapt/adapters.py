"""Adapters: a small bottleneck network after attention and after the feed-forward network.

    h   becomes   h + W2 gelu(W1 h + b1) + b2,     W1: (m, d), W2: (d, m), m well below d

There are two in each block, before the residual connections. W2 and b2 start at 0, so that an
adapted model starts as the pretrained one. An adapter adds weights *and* operations: unlike LoRA's
product it has a non-linearity in it and cannot be merged into the weights before it. Source:
Houlsby et al., *Parameter-efficient transfer learning for NLP*, 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.m6rec.adapt.method import Change, Method, check_size, like, replace_linear
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task


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
        like(self, beside)

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
