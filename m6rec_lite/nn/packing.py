"""Packing: concatenate rows of different lengths, so that no computation is spent on padding.

Linear maps, norms and losses work on each token separately: they run on ``(tokens, hidden_size)``
without padding. Only attention needs rows. For attention, rows of similar length form a group,
are padded to the longest of the group, and are unpadded afterwards.

Rows must be sorted from the longest to the shortest, as in torch's ``PackedSequence``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


class _Scatter(torch.autograd.Function):
    """Write rows to distinct indices of a tensor of zeros; the transpose of ``_Gather``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, n: int) -> Tensor:
        ctx.save_for_backward(index)
        return x.new_zeros(n, *x.shape[1:]).index_copy_(0, index, x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return g.index_select(0, index), None, None


class _Gather(torch.autograd.Function):
    """Read rows at distinct indices, so that the gradient is copied and not accumulated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.n = len(x)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return g.new_zeros(ctx.n, *g.shape[1:]).index_copy_(0, index, g), None


@dataclass(frozen=True, eq=False)
class Group:
    """Consecutive rows of similar length.

    Attributes:
        lengths: ``(rows,)`` from the longest to the shortest.
        time: length of the longest row.
        tokens: number of tokens.
    """

    lengths: Tensor
    time: int
    tokens: int

    @property
    def full(self) -> bool:
        """Whether all rows have the same length, so that no padding is needed."""
        return self.tokens == self.time * len(self.lengths)

    @cached_property
    def slots(self) -> Tensor:
        """Index of each token in the flattened padded rows: ``(tokens,)``."""
        real = torch.arange(self.time, device=self.lengths.device) < self.lengths[:, None]
        return real.flatten().nonzero()[:, 0]

    def pad(self, packed: Tensor) -> Tensor:
        """Pad this group's ``(tokens, ...)`` to ``(rows, time, ...)``."""
        cells = len(self.lengths) * self.time
        padded = packed if self.full else _Scatter.apply(packed, self.slots, cells)
        return padded.reshape(len(self.lengths), self.time, *packed.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """Return this group's ``(tokens, ...)`` from ``(rows, time, ...)``."""
        flat = padded.reshape(len(self.lengths) * self.time, *padded.shape[2:])
        return flat if self.full else _Gather.apply(flat, self.slots)


class Packing:
    """Layout of concatenated rows of different lengths.

    Args:
        lengths: ``(rows,)`` from the longest to the shortest, each at least 1.
        waste: largest share of padding in a row: the shortest row of a group has at least
            ``1 - waste`` times the length of the longest; 0 pads nothing and makes most groups.

    Raises:
        ValueError: if there is no row, a length is below 1, or the lengths are not sorted.
    """

    def __init__(self, lengths: Tensor, *, waste: float = 0.15) -> None:
        if lengths.numel() == 0 or int(lengths[-1]) < 1 or bool((lengths.diff() > 0).any()):
            raise ValueError(
                "lengths must fall from the first row to the last and be at least 1, got "
                f"{lengths[:8].tolist()}{'...' if len(lengths) > 8 else ''}: sort the rows by "
                "length and leave out empty ones"
            )
        self.lengths = lengths
        self.groups: list[Group] = []
        sizes, first = lengths.tolist(), 0
        for row in range(1, len(sizes) + 1):
            if row == len(sizes) or sizes[row] < (1 - waste) * sizes[first]:
                self.groups.append(Group(lengths[first:row], sizes[first], sum(sizes[first:row])))
                first = row

    def pad(self, packed: Tensor) -> list[Tensor]:
        """Split ``(tokens, ...)`` into one padded ``(rows, time, ...)`` per group."""
        parts = packed.split([group.tokens for group in self.groups])
        return [group.pad(part) for group, part in zip(self.groups, parts, strict=True)]

    def unpad(self, padded: list[Tensor]) -> Tensor:
        """Invert ``pad``: return ``(tokens, ...)``."""
        parts = zip(self.groups, padded, strict=True)
        return torch.cat([group.unpad(part) for group, part in parts])

    @cached_property
    def ends(self) -> Tensor:
        """Index of each row's last token: ``(rows,)``."""
        return self.lengths.cumsum(0) - 1

    @cached_property
    def steps_back(self) -> Tensor:
        """Distance of each token from the last token of its row: ``(tokens,)``."""
        last = self.ends.repeat_interleave(self.lengths)
        return last - torch.arange(len(last), device=last.device)

    @cached_property
    def starts(self) -> Tensor:
        """Index of the first token of each token's row: ``(tokens,)``."""
        return (self.ends - self.lengths + 1).repeat_interleave(self.lengths)

    @cached_property
    def positions(self) -> Tensor:
        """Position of each token in its row, from 0: ``(tokens,)``."""
        return self.lengths.repeat_interleave(self.lengths) - 1 - self.steps_back

    @cached_property
    def _by_step(self) -> Tensor:
        """Indices of all first tokens, then of all second tokens, and so on: ``(tokens,)``."""
        return torch.argsort(self.positions, stable=True)

    def to_steps(self, packed: Tensor) -> PackedSequence:
        """Reorder ``(tokens, ...)`` from rows to time steps, as torch's recurrent networks need."""
        steps = torch.arange(int(self.lengths[0]), device=self.lengths.device)
        sizes = (self.lengths[:, None] > steps).sum(dim=0)  # rows of each step
        return PackedSequence(_Gather.apply(packed, self._by_step), sizes.cpu())

    def from_steps(self, sequence: PackedSequence) -> Tensor:
        """Invert ``to_steps``: return ``(tokens, ...)``."""
        return _Scatter.apply(sequence.data, self._by_step, len(sequence.data))
