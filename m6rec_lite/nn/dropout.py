"""Dropout whose random numbers are cheap.

On a processor torch draws one number after another for each element, and in a small network that
takes longer than the arithmetic. Sixteen random bits settle an element as well, and four elements
share one draw of 64 bits: about four times as fast. Source of the idea of dropout: Srivastava et
al., *Dropout: a simple way to prevent neural networks from overfitting*, 2014.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 2**16  # chances come in steps of 1 / 65,536


def dropout(x: Tensor, p: float) -> Tensor:
    """Set a share ``p`` of x to 0, at random, and scale the rest so that the mean stays.

    On a processor p is rounded to a multiple of 1 / 65,536, and the scale goes by the rounded one;
    on other devices this is torch's own.

    Args:
        x: any shape, floating point.
        p: at least 0, below 1.

    Returns:
        The shape of x.

    Raises:
        ValueError: if p is out of range.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {p!r}")
    if p == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    level = min(round(p * _LEVELS), _LEVELS - 1)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    keep = bits.view(torch.int16)[: x.numel()].view(x.shape) >= level - _LEVELS // 2
    return x * keep.to(x.dtype).mul_(_LEVELS / (_LEVELS - level))


class Dropout(nn.Module):
    """``dropout`` while training, nothing else.

    Args:
        p: share set to 0.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {p!r}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return dropout(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"p={self.p}"
