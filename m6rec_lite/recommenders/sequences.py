"""Histories as batches of sequences that foresee their next item.

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
from m6rec_lite.recommenders.base import check_whole
from m6rec_lite.recommenders.negatives import Negatives
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
            start = np.cumsum(lengths) - lengths
            places = np.arange(lengths.sum()) + np.repeat(first - start, lengths)
            batch = {
                "lengths": lengths,
                "items": self.items[places],
                "targets": self.items[places + 1],
            }
            if self.negatives is not None:
                shape = () if self.shared else (len(places),)
                drawn = self.negatives.draw(rng(seed, epoch, i), *shape)
                batch |= {
                    "negatives": drawn,
                    "log_expected": self.negatives.log_expected[drawn],
                }
            return {key: torch.from_numpy(array) for key, array in batch.items()}

        return Epoch(-(-len(self) // self.batch_size), build)


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
        first = histories.offsets[1:][rows_of_part] - lengths
        start = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(first - start, lengths)
        batch = {"lengths": lengths, "items": histories.items[places].astype(np.int64)}
        parts.append((rows_of_part, {k: torch.from_numpy(v) for k, v in batch.items()}))
    return parts
