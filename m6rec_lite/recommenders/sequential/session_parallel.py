"""Session-parallel batches: histories concatenated in lanes that are read in parallel.

Source: Hidasi et al., *Session-based recommendations with recurrent neural networks*, 2016, section
3.1.1 and figure 2. There a batch is one step of every lane; here it is ``steps`` steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from m6rec_lite.data.interactions import Histories
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.sequential.negatives import Negatives
from m6rec_lite.recommenders.sequential.sequences import Batch
from m6rec_lite.training import Epoch, rng


class ParallelBatches:
    """Session-parallel training batches, for ``training.fit``.

    In each epoch the histories are assigned in random order to the lane that is shortest so far. A
    batch has ``items`` and ``starts`` ``(lanes, steps)``; ``target_indices``, the indices within
    the flattened lanes that have a target; and their ``targets``. The batches of an epoch must be
    used in order and by a single process, since the state is passed from one to the next.

    Args:
        histories: one row per user; rows with fewer than two items are skipped.
        lanes: maximum number of lanes, the rows of a batch.
        steps: columns of a batch.
        negatives: distribution of the negatives; None for batches without negatives.
        shared: draw negatives once per batch instead of once per token.
    """

    def __init__(
        self,
        histories: Histories,
        *,
        lanes: int,
        steps: int,
        negatives: Negatives | None = None,
        shared: bool = True,
    ) -> None:
        self.steps = check_whole("steps", steps)
        self.negatives = negatives
        self.shared = shared
        rows = np.flatnonzero(histories.lengths >= 2)
        self.lanes = min(check_whole("lanes", lanes), max(len(rows), 1))
        self.first = histories.offsets[:-1][rows]
        self.lengths = histories.lengths[rows] - 1  # the last item is a target only
        self.items = histories.items.astype(np.int64)

    def __len__(self) -> int:
        """Return the number of histories with a target."""
        return len(self.first)

    def _assign(self, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(lanes, time)`` event indices, -1 for padding, and the starts of histories."""
        ends = np.zeros(self.lanes, dtype=np.int64)
        rows = draws.permutation(len(self))
        lane, start = np.empty(len(self), np.int64), np.empty(len(self), np.int64)
        for row in rows:
            lane[row] = ends.argmin()
            start[row] = ends[lane[row]]
            ends[lane[row]] += self.lengths[row]
        time = -(-int(ends.max()) // self.steps) * self.steps
        events = np.full((self.lanes, time), -1, dtype=np.int64)
        starts = np.zeros((self.lanes, time), dtype=bool)
        for row in rows:
            n, column = self.lengths[row], start[row]
            events[lane[row], column : column + n] = self.first[row] + np.arange(n)
            starts[lane[row], column] = True
        return events, starts

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """Return the batches of an epoch: ``steps`` columns of every lane."""
        events, starts = self._assign(rng(seed, epoch))

        def build(i: int) -> Batch:
            columns = slice(i * self.steps, (i + 1) * self.steps)
            part = events[:, columns]
            valid = np.flatnonzero(part.reshape(-1) >= 0)
            batch = {
                "items": self.items[np.maximum(part, 0)],
                "starts": starts[:, columns].copy(),
                "target_indices": valid,
                "targets": self.items[part.reshape(-1)[valid] + 1],
            }
            if self.negatives is not None:
                shape = () if self.shared else (len(valid),)
                drawn = self.negatives.draw(rng(seed, epoch, i), *shape)
                batch |= {
                    "negatives": drawn,
                    "log_expected": self.negatives.log_expected[drawn],
                }
            return {key: torch.from_numpy(array) for key, array in batch.items()}

        return Epoch(events.shape[1] // self.steps, build)
