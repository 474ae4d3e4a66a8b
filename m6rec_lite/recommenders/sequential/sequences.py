"""Batches of item sequences with the next items as targets.

The items i1, i2, ..., in of a user give n - 1 training examples: predict i2 from i1, i3 from i1 and
i2, and so on. A batch contains random users; their sequences are concatenated from the longest to
the shortest, without padding (``nn.packing``).
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

#: Part of a long history to train on: see ``NextItemBatches``.
Window = Literal["latest", "random"]

#: A batch: ``lengths`` (rows,), descending; ``items`` and ``targets`` (tokens,) item indices; with
#: negatives also ``negatives`` (k,) or (tokens, k), and their ``log_expected``.
Batch = dict[str, torch.Tensor]


class NextItemBatches:
    """Training batches of packed sequences, for ``training.fit``.

    Args:
        histories: one row per user; rows with fewer than two items are skipped.
        batch_size: users per batch.
        max_length: maximum number of items that the network reads.
        window: part of a longer history: the ``latest`` items, or a ``random`` window that is drawn
            anew in each epoch.
        negatives: distribution of the negatives; None for batches without negatives.
        shared: draw negatives once per batch instead of once per token.

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
        rows = np.flatnonzero(histories.lengths >= 2)
        self.ends = histories.offsets[1:][rows]  # index after the last item of each row
        self.lengths = histories.lengths[rows]
        self.items = histories.items.astype(np.int64)

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.ends)

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """Return the batches of an epoch: all sequences in a new random order."""
        draws = rng(seed, epoch)
        order = draws.permutation(len(self))
        read = np.minimum(self.lengths - 1, self.max_length)
        spare = self.lengths - 1 - read  # maximum shift of a window
        slide = draws.integers(0, spare + 1) if self.window == "random" else np.zeros_like(spare)

        def build(i: int) -> Batch:
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            rows = rows[np.argsort(-read[rows], kind="stable")]
            lengths = read[rows]
            first = self.ends[rows] - slide[rows] - lengths - 1  # index of each row's first item
            inputs = ranges(first, lengths)
            batch = {
                "lengths": lengths,
                "items": self.items[inputs],
                "targets": self.items[inputs + 1],
            }
            batch |= self._negatives(rng(seed, epoch, i), len(inputs))
            return {key: torch.from_numpy(array) for key, array in batch.items()}

        return Epoch(-(-len(self) // self.batch_size), build)

    def _negatives(self, draws: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Draw the negatives of a batch with n targets; empty without negatives."""
        if self.negatives is None:
            return {}
        drawn = self.negatives.draw(draws, *(() if self.shared else (n,)))
        return {"negatives": drawn, "log_expected": self.negatives.log_expected[drawn]}


class MaskedBatches(NextItemBatches):
    """Batches of packed sequences with masked items as targets.

    Each item of a sequence of n items is masked with probability ``mask_share``, but at least one
    and at most n - 1 items; in a share ``last_share`` of the sequences only the last item is
    masked, as when the model recommends. The masks are drawn anew in each epoch. Source: Sun et
    al., *BERT4Rec*, 2019, section 3.6.

    A batch has ``lengths`` and ``items`` as in ``NextItemBatches``, where a masked item is
    ``n_items``; ``target_indices``, the indices of the masked tokens; and ``targets``, their items.

    Args:
        histories: see ``NextItemBatches``, also for the arguments not listed.
        mask_share: probability of an item to be masked, above 0 and below 1.
        last_share: share of the sequences with only the last item masked, from 0 to 1.

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
        """Return the batches of an epoch: all sequences in a new random order, with new masks."""
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
            masked = np.flatnonzero(self._masked(lengths, draws))
            targets = items[masked]
            items[masked] = self.mask
            batch = {
                "lengths": lengths,
                "items": items,
                "target_indices": masked,
                "targets": targets,
            }
            batch |= self._negatives(draws, len(masked))
            return {key: torch.from_numpy(array) for key, array in batch.items()}

        return Epoch(-(-len(self) // self.batch_size), build)

    def _masked(self, lengths: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        """Draw ``(tokens,)`` bool, True for masked tokens."""
        n = draws.binomial(lengths, self.mask_share).clip(1, lengths - 1)
        last = draws.random(len(lengths)) < self.last_share
        n[last] = 1
        priority = draws.random(lengths.sum())  # the n lowest of each row are masked
        ends = np.cumsum(lengths)
        priority[ends[last] - 1] = -1.0
        row = np.repeat(np.arange(len(lengths)), lengths)
        order = np.lexsort((priority, row))  # by row, then by priority
        masked = np.zeros(len(priority), dtype=bool)
        masked[order[ranges(ends - lengths, n)]] = True
        return masked


def n_targets(batch: Batch) -> int:
    """Return the number of targets of a batch, which is its weight in the mean loss."""
    return len(batch["targets"])


def questions(
    histories: Histories, max_length: int, tokens: int = 60_000
) -> list[tuple[np.ndarray, Batch]]:
    """Return packed batches of histories, to predict the next items.

    Args:
        histories: any histories; empty rows are skipped.
        max_length: maximum number of latest items of a history to read.
        tokens: approximate maximum number of tokens per batch.

    Returns:
        Pairs of the indices of the rows, and their batch of ``lengths`` and ``items``.
    """
    read = np.minimum(histories.lengths, max_length)
    rows = np.argsort(-read, kind="stable")[: np.count_nonzero(read)]
    number = np.cumsum(read[rows]) // max(tokens, 1)  # of the batch of each row
    batches = []
    for part in np.split(rows, np.flatnonzero(np.diff(number)) + 1):
        lengths = read[part]
        if len(lengths) == 0:
            continue
        events = ranges(histories.offsets[1:][part] - lengths, lengths)
        batch = {"lengths": lengths, "items": histories.items[events].astype(np.int64)}
        batches.append((part, {k: torch.from_numpy(v) for k, v in batch.items()}))
    return batches
