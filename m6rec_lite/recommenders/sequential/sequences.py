"""Histories as batches of sequences with next items as targets.

A user's items i1, i2, ..., in are n - 1 questions at once: after i1 comes i2, after i1 and i2
comes i3. A batch holds random users; their sequences lie end to end, from the longest to the
shortest, without padding (``nn.packing``). So a batch is the same random users that a padded one
would hold, and what padding would cost is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import ranges
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.negatives import Negatives
from m6rec_lite.training import Epoch, rng

#: Which part of a sequence that is longer than the network reads: see ``NextItemBatches``.
Window = Literal["latest", "random"]

#: A batch: ``lengths`` (rows,), falling; ``items`` and ``targets`` (tokens,), places in the
#: catalogue; with negatives also ``negatives`` (k,) or (tokens, k), and ``log_expected`` of them.
Batch = dict[str, torch.Tensor]


class NextItemBatches:
    """Training batches of packed sequences; a source of batches for ``training.fit``.

    Args:
        histories: one row a user; rows with fewer than two items teach nothing and are left out.
        batch_size: users a batch.
        max_length: items that the network reads at most.
        window: of a longer history the ``latest`` items, always; or a ``random`` run of them, drawn
            anew each epoch, so that old events teach too.
        negatives: draws items for each batch; None draws none.
        shared: whether a batch draws once for all its tokens, or once for each.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        histories: Histories,
        *,
        batch_size: int,
        max_length: int,
        window: Window = "latest",
        negatives: Negatives | None = None,
        shared: bool = True,
    ) -> None:
        self.batch_size = check_whole("batch_size", batch_size)
        self.max_length = check_whole("max_length", max_length)
        if window not in ("latest", "random"):
            raise ValueError(f"window must be 'latest' or 'random', got {window!r}")
        self.window = window
        self.negatives = negatives
        self.shared = shared
        enough = np.flatnonzero(histories.lengths >= 2)
        self.ends = histories.offsets[1:][enough]  # place behind the last item of each row
        self.lengths = histories.lengths[enough]
        self.items = histories.items.astype(np.int64)

    def __len__(self) -> int:
        """Number of sequences that teach something."""
        return len(self.ends)

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """All sequences in a new random order, ``batch_size`` of them at a time."""
        draws = rng(seed, epoch)
        order = draws.permutation(len(self))
        read = np.minimum(self.lengths - 1, self.max_length)
        spare = self.lengths - 1 - read  # how far a window could slide back
        slide = draws.integers(0, spare + 1) if self.window == "random" else np.zeros_like(spare)

        def build(i: int) -> Batch:
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            rows = rows[np.argsort(-read[rows], kind="stable")]
            lengths = read[rows]
            first = self.ends[rows] - slide[rows] - lengths - 1  # place of each row's first item
            places = ranges(first, lengths)
            batch = {
                "lengths": lengths,
                "items": self.items[places],
                "targets": self.items[places + 1],
            }
            batch |= self._negatives(rng(seed, epoch, i), len(places))
            return {key: torch.from_numpy(array) for key, array in batch.items()}

        return Epoch(-(-len(self) // self.batch_size), build)

    def _negatives(self, draws: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """What a batch of n targets is compared with; nothing without negatives."""
        if self.negatives is None:
            return {}
        drawn = self.negatives.draw(draws, *(() if self.shared else (n,)))
        return {"negatives": drawn, "log_expected": self.negatives.log_expected[drawn]}


class MaskedBatches(NextItemBatches):
    """Batches of packed sequences of which some items are masked, to be told from both sides.

    Of a sequence of n items, each is masked with chance ``mask_share``, at least one and at most
    n - 1 of them; or, in a share ``last_share`` of the sequences, the last item alone, which is
    what the model is asked when it recommends. Which sequences, and which items, is drawn anew each
    epoch. Source: Sun et al., *BERT4Rec*, 2019, section 3.6.

    A batch has ``lengths`` and ``items`` as of ``NextItemBatches``, where a masked item is
    ``n_items``, one behind the catalogue; ``asked`` (the places of the masked tokens) and
    ``targets`` (what stood there).

    Args:
        histories: see ``NextItemBatches``, for the others too. A sequence is one longer than
            there, since no item is a target only.
        mask_share: above 0 and below 1.
        last_share: from 0 to 1.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        histories: Histories,
        *,
        mask_share: float,
        last_share: float,
        batch_size: int,
        max_length: int,
        window: Window = "latest",
        negatives: Negatives | None = None,
        shared: bool = True,
    ) -> None:
        super().__init__(
            histories,
            batch_size=batch_size,
            max_length=max_length,
            window=window,
            negatives=negatives,
            shared=shared,
        )
        if not 0 < mask_share < 1:
            raise ValueError(f"mask_share must be above 0 and below 1, got {mask_share!r}")
        check_in_range("last_share", last_share, 0, 1)
        self.mask_share = mask_share
        self.last_share = last_share
        self.mask = histories.n_items

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """All sequences in a new random order, with new masks."""
        draws = rng(seed, epoch)
        order = draws.permutation(len(self))
        read = np.minimum(self.lengths, self.max_length)
        spare = self.lengths - read
        slide = draws.integers(0, spare + 1) if self.window == "random" else np.zeros_like(spare)

        def build(i: int) -> Batch:
            draws = rng(seed, epoch, i)
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            rows = rows[np.argsort(-read[rows], kind="stable")]
            lengths = read[rows]
            items = self.items[ranges(self.ends[rows] - slide[rows] - lengths, lengths)]
            asked = np.flatnonzero(self._masked(lengths, draws))
            targets = items[asked]
            items[asked] = self.mask
            batch = {"lengths": lengths, "items": items, "asked": asked, "targets": targets}
            batch |= self._negatives(draws, len(asked))
            return {key: torch.from_numpy(array) for key, array in batch.items()}

        return Epoch(-(-len(self) // self.batch_size), build)

    def _masked(self, lengths: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        """``(tokens,)`` bool: which are masked."""
        n = draws.binomial(lengths, self.mask_share).clip(1, lengths - 1)
        last = draws.random(len(lengths)) < self.last_share
        n[last] = 1
        chance = draws.random(lengths.sum())
        ends = np.cumsum(lengths)
        chance[ends[last] - 1] = -1.0  # the lowest of its row
        row = np.repeat(np.arange(len(lengths)), lengths)
        by_chance = np.lexsort((chance, row))  # row after row, the lowest first
        masked = np.zeros(len(chance), dtype=bool)
        masked[by_chance[ranges(ends - lengths, n)]] = True
        return masked


def n_targets(batch: Batch) -> int:
    """How many questions a batch asks: its weight among others."""
    return len(batch["targets"])


def questions(
    histories: Histories, max_length: int, tokens: int = 60_000
) -> list[tuple[np.ndarray, Batch]]:
    """Histories as packed batches of at most about so many tokens, for asking what comes next.

    Args:
        histories: any; empty rows are left out.
        max_length: the latest items that are read of each.
        tokens: of a batch, at most (one row may have more).

    Returns:
        Pairs of the rows' places among the histories, and their batch of ``lengths`` and ``items``.
    """
    read = np.minimum(histories.lengths, max_length)
    rows = np.argsort(-read, kind="stable")[: np.count_nonzero(read)]
    share = np.cumsum(read[rows]) // max(tokens, 1)
    parts = []
    for rows_of_part in np.split(rows, np.flatnonzero(np.diff(share)) + 1):
        lengths = read[rows_of_part]
        if len(lengths) == 0:
            continue
        places = ranges(histories.offsets[1:][rows_of_part] - lengths, lengths)
        batch = {"lengths": lengths, "items": histories.items[places].astype(np.int64)}
        parts.append((rows_of_part, {k: torch.from_numpy(v) for k, v in batch.items()}))
    return parts
