"""Session-parallel batches: histories laid end to end in lanes that are read side by side.

Source: Hidasi et al., *Session-based recommendations with recurrent neural networks*, 2016, section
3.1.1 and figure 2. There a batch is one step of every lane; here it is ``steps`` of them.
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
    """A source of batches for ``training.fit``: lanes of histories in a new order each epoch.

    Every history joins the lane that is shortest so far. Whole histories are read, however long.
    A batch has ``items`` and ``starts`` ``(lanes, steps)``, ``asked`` (the places, within the
    flattened lanes, whose next item is asked for), and ``targets`` of these. The batches of an
    epoch belong in their order, since the state goes on from one to the next: so they are for one
    process, not for several.

    Args:
        histories: one row a user; rows with fewer than two items are left out.
        lanes: how many, at most; a batch's rows.
        steps: a batch's columns.
        negatives: draws items for each batch; None draws none.
        shared: whether a batch draws once for all its tokens, or once for each.
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
        enough = np.flatnonzero(histories.lengths >= 2)
        self.lanes = min(check_whole("lanes", lanes), max(len(enough), 1))
        self.first = histories.offsets[:-1][enough]
        self.lengths = histories.lengths[enough] - 1  # the last item is a target only
        self.items = histories.items.astype(np.int64)

    def __len__(self) -> int:
        """Number of histories that teach something."""
        return len(self.first)

    def _lay_out(self, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """``(lanes, time)``: places of the items read, -1 behind the last; and where rows begin."""
        ends = np.zeros(self.lanes, dtype=np.int64)
        rows = draws.permutation(len(self))
        lane, start = np.empty(len(self), np.int64), np.empty(len(self), np.int64)
        for row in rows:
            lane[row] = ends.argmin()
            start[row] = ends[lane[row]]
            ends[lane[row]] += self.lengths[row]
        time = -(-int(ends.max()) // self.steps) * self.steps
        places = np.full((self.lanes, time), -1, dtype=np.int64)
        starts = np.zeros((self.lanes, time), dtype=bool)
        for row in rows:
            n, at = self.lengths[row], start[row]
            places[lane[row], at : at + n] = self.first[row] + np.arange(n)
            starts[lane[row], at] = True
        return places, starts

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """All histories once, ``steps`` of every lane at a time."""
        places, starts = self._lay_out(rng(seed, epoch))

        def build(i: int) -> Batch:
            part = slice(i * self.steps, (i + 1) * self.steps)
            where = places[:, part]
            asked = np.flatnonzero(where.reshape(-1) >= 0)
            batch = {
                "items": self.items[np.maximum(where, 0)],
                "starts": starts[:, part].copy(),
                "asked": asked,
                "targets": self.items[where.reshape(-1)[asked] + 1],
            }
            if self.negatives is not None:
                shape = () if self.shared else (len(asked),)
                drawn = self.negatives.draw(rng(seed, epoch, i), *shape)
                batch |= {
                    "negatives": drawn,
                    "log_expected": self.negatives.log_expected[drawn],
                }
            return {key: torch.from_numpy(array) for key, array in batch.items()}

        return Epoch(places.shape[1] // self.steps, build)
