"""Packing: rows of different lengths laid end to end, so that padding costs nothing.

Linear maps, norms and losses work on one token at a time and do not care which row it is of: they
run on ``(tokens, hidden_size)`` without a single pad. Only attention needs rows. For it, rows of
about the same length are put together, padded to the longest of their group, and unpadded.

Rows must lie from the longest to the shortest, as in torch's ``PackedSequence``; a batch of random
users stays a batch of random users, whatever the order within it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


class _Scatter(torch.autograd.Function):
    """Write rows to different places of a table of zeros; the transpose of ``_Gather``."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, at: Tensor, n: int) -> Tensor:
        ctx.save_for_backward(at)
        return x.new_zeros(n, *x.shape[1:]).index_copy_(0, at, x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, g: Tensor) -> tuple:
        (at,) = ctx.saved_tensors
        return g.index_select(0, at), None, None


class _Gather(torch.autograd.Function):
    """Read rows from different places. Each is read once, so its gradient is written, not added."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, at: Tensor) -> Tensor:
        ctx.save_for_backward(at)
        ctx.n = len(x)
        return x.index_select(0, at)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, g: Tensor) -> tuple:
        (at,) = ctx.saved_tensors
        return g.new_zeros(ctx.n, *g.shape[1:]).index_copy_(0, at, g), None


@dataclass(frozen=True, eq=False)
class Group:
    """Neighbouring rows of about one length.

    Attributes:
        lengths: ``(rows,)`` from the longest to the shortest.
        time: length of the longest.
        tokens: number of tokens.
    """

    lengths: Tensor
    time: int
    tokens: int

    @property
    def full(self) -> bool:
        """Whether all rows are of one length, so that nothing is padded."""
        return self.tokens == self.time * len(self.lengths)

    @cached_property
    def slots(self) -> Tensor:
        """``(tokens,)`` place of each token in the padded ``(rows * time)``."""
        real = torch.arange(self.time, device=self.lengths.device) < self.lengths[:, None]
        return real.flatten().nonzero()[:, 0]

    def pad(self, packed: Tensor) -> Tensor:
        """From this group's tokens ``(tokens, ...)`` to ``(rows, time, ...)``."""
        cells = len(self.lengths) * self.time
        padded = packed if self.full else _Scatter.apply(packed, self.slots, cells)
        return padded.reshape(len(self.lengths), self.time, *packed.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """From ``(rows, time, ...)`` to this group's tokens ``(tokens, ...)``."""
        flat = padded.reshape(len(self.lengths) * self.time, *padded.shape[2:])
        return flat if self.full else _Gather.apply(flat, self.slots)


class Packing:
    """How ragged rows lie end to end.

    Args:
        lengths: ``(rows,)`` from the longest to the shortest, each at least 1.
        waste: rows share a group while the shortest has at least ``1 - waste`` times the longest's
            length; 0 pads nothing and makes most groups.

    Raises:
        ValueError: if the lengths rise, or one is below 1, or there is none.
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
        numbers, first = lengths.tolist(), 0
        for row in range(1, len(numbers) + 1):
            if row == len(numbers) or numbers[row] < (1 - waste) * numbers[first]:
                tokens = sum(numbers[first:row])
                self.groups.append(Group(lengths[first:row], numbers[first], tokens))
                first = row

    def pad(self, packed: Tensor) -> list[Tensor]:
        """All tokens ``(tokens, ...)`` as one ``(rows, time, ...)`` a group."""
        parts = packed.split([group.tokens for group in self.groups])
        return [group.pad(part) for group, part in zip(self.groups, parts, strict=True)]

    def unpad(self, padded: list[Tensor]) -> Tensor:
        """What ``pad`` gave, as ``(tokens, ...)`` again."""
        parts = zip(self.groups, padded, strict=True)
        return torch.cat([group.unpad(part) for group, part in parts])

    @cached_property
    def ends(self) -> Tensor:
        """``(rows,)`` place of each row's last token."""
        return self.lengths.cumsum(0) - 1

    @cached_property
    def steps_back(self) -> Tensor:
        """``(tokens,)`` how far each token is from the end of its row: 0 at the last."""
        last = self.ends.repeat_interleave(self.lengths)
        return last - torch.arange(len(last), device=last.device)

    @cached_property
    def _by_step(self) -> Tensor:
        """``(tokens,)`` places of all first tokens, then of all second ones, and so on."""
        step = torch.arange(len(self.steps_back), device=self.lengths.device)
        step = step - (self.ends - self.lengths + 1).repeat_interleave(self.lengths)
        return torch.argsort(step, stable=True)

    def to_steps(self, packed: Tensor) -> PackedSequence:
        """As torch's recurrent networks read them: step after step instead of row after row."""
        steps = torch.arange(int(self.lengths[0]), device=self.lengths.device)
        sizes = (self.lengths[:, None] > steps).sum(dim=0)  # rows that are still there
        return PackedSequence(_Gather.apply(packed, self._by_step), sizes.cpu())

    def from_steps(self, sequence: PackedSequence) -> Tensor:
        """What ``to_steps`` gave, as ``(tokens, ...)`` again."""
        return _Scatter.apply(sequence.data, self._by_step, len(sequence.data))
