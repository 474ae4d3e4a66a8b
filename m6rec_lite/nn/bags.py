"""Decayed bags of the events of a history: sums of vectors in which older events weigh less.

The sum after event t of a history is ``s_t = table[item_t] + decay * s_(t-1)``: event j of it has
the weight ``decay ** (t - j)``. Unlike the states of a network with a window of the latest events,
it reads all events.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from m6rec_lite.nn.packing import Packing


def decayed_bags(items: Tensor, lengths: Tensor, table: Tensor, decay: float) -> Tensor:
    """Return the decayed sum after the last event of each row.

    Args:
        items: ``(events,)`` int64 item indices of all rows, oldest event of a row first.
        lengths: ``(rows,)`` int64 number of events of each row, 0 or more.
        table: ``(n_items, d)`` vectors.
        decay: in (0, 1].

    Returns:
        ``(rows, d)``; 0 for a row without events.
    """
    ends = lengths.cumsum(0)
    steps_back = (ends - 1).repeat_interleave(lengths) - torch.arange(
        len(items), device=items.device
    )
    weights = decay ** steps_back.to(table.dtype)
    return F.embedding_bag(items, table, ends - lengths, mode="sum", per_sample_weights=weights)


class DecayedBags:
    """Decayed sums of vectors after each token of packed rows.

    The sums of a few tokens are one product of a matrix of weights, ``decay ** (t - j)`` for the
    tokens j of the same row up to t, and their vectors. Computed for a chunk of tokens at a time,
    they need little memory even if a vector is as long as the catalogue.

    Args:
        items: ``(tokens,)`` int64 item indices.
        packing: layout of the rows.
        earlier: ``(m,)`` int64: the items of the events before the first token of each row, row by
            row, oldest first.
        n_earlier: ``(rows,)`` int64: their number.
    """

    def __init__(self, items: Tensor, packing: Packing, earlier: Tensor, n_earlier: Tensor) -> None:
        self.items, self.packing = items, packing
        self.earlier, self.n_earlier = earlier, n_earlier
        rows = torch.arange(len(n_earlier), device=items.device)
        self._rows = rows.repeat_interleave(packing.lengths)  # of each token
        self._ends = F.pad(n_earlier.cumsum(0), (1, 0))  # row r: earlier[_ends[r] : _ends[r + 1]]

    @property
    def n_events(self) -> Tensor:
        """Number of events up to each token, with the earlier ones: ``(tokens,)``."""
        return self.packing.positions + 1 + self.n_earlier[self._rows]

    def sums(self, table: Tensor, decay: float, first: int, last: int) -> Tensor:
        """Return the sums after the tokens ``first`` to ``last - 1``.

        Args:
            table: ``(n_items, d)`` vectors.
            decay: in (0, 1].
            first: index of the first token.
            last: index after the last token.

        Returns:
            ``(last - first, d)``.
        """
        starts, positions = self.packing.starts[first:last], self.packing.positions[first:last]
        begin = int(starts[0])  # the row of the first token may begin before the chunk
        token = torch.arange(first, last, device=table.device)[:, None]
        event = torch.arange(begin, last, device=table.device)
        is_read = (event <= token) & (event >= starts[:, None])
        weights = decay ** (token - event).clamp_min(0).to(table.dtype) * is_read
        sums = weights @ table[self.items[begin:last]]
        if len(self.earlier):
            rows = self._rows[first:last]
            top, bottom = int(rows[0]), int(rows[-1]) + 1
            items = self.earlier[self._ends[top] : self._ends[bottom]]
            before = decayed_bags(items, self.n_earlier[top:bottom], table, decay)
            sums = sums + decay ** (positions[:, None] + 1).to(table.dtype) * before[rows - top]
        return sums
