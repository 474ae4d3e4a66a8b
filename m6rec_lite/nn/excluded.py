"""Items that are left out of a softmax over a catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from m6rec_lite.nn.packing import Packing


@dataclass(frozen=True, eq=False)
class Excluded:
    """Items that are left out of the softmax of each token.

    Token i excludes ``items[starts[i] : starts[i] + lengths[i]]``. In packed sequences these are
    the items of the row up to the token, so nothing of the size ``tokens x items`` is stored.

    Attributes:
        items: ``(m,)`` int64 item indices; negative ones are ignored.
        starts: ``(n,)`` int64.
        lengths: ``(n,)`` int64, 0 or more.
    """

    items: Tensor
    starts: Tensor
    lengths: Tensor

    @classmethod
    def history(cls, items: Tensor, packing: Packing) -> Excluded:
        """Exclude for each token of packed rows the items of its row up to and including it.

        Args:
            items: ``(tokens,)`` item indices.
            packing: layout of the rows.
        """
        return cls(items, packing.starts, packing.positions + 1)

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.starts)

    def pairs(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Return the tokens and items excluded by the tokens ``first`` to ``last - 1``.

        Returns:
            Two ``(p,)`` int64 tensors: tokens counted from ``first``, and items.
        """
        starts, lengths = self.starts[first:last], self.lengths[first:last]
        token = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
        before = lengths.cumsum(0) - lengths
        index = torch.arange(len(token), device=token.device) + (starts - before)[token]
        item = self.items[index]
        known = item >= 0
        return token[known], item[known]

    def among(self, candidates: Tensor, n_items: int) -> Excluded:
        """Return the same exclusions with items numbered by their index among the candidates.

        Args:
            candidates: ``(c,)`` distinct item indices below ``n_items``.
            n_items: size of the catalogue.
        """
        number = self.items.new_full((n_items + 1,), -1)  # the last entry is that of item -1
        number[candidates] = torch.arange(len(candidates), device=candidates.device)
        return replace(self, items=number[self.items])
