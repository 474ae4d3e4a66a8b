"""Training batches of the retriever."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.ragged import ranges
from m6rec_lite.m6rec.retriever_network import gap_codes
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches, Window
from m6rec_lite.training import Epoch


class EventBatches(NextItemBatches):
    """``NextItemBatches`` with what the retriever reads of each event and each user.

    A batch also has ``before`` and ``after``, ``(tokens,)`` classes of time gaps of ``gap_codes``;
    with ``earlier``, the items before the window of each row, ``earlier`` ``(m,)``, row by row, and
    their number ``n_earlier`` ``(rows,)``; with ``profiles``, those of the rows.

    Args:
        histories: see ``NextItemBatches``, also for the arguments not listed.
        earlier: whether batches have the items before the window.
        profiles: ``(len(histories), n_columns)`` int64 attributes of the users; None for none.
    """

    def __init__(
        self,
        histories: Histories,
        *,
        batch_size: int,
        max_length: int,
        window: Window = "latest",
        earlier: bool = False,
        profiles: np.ndarray | None = None,
    ) -> None:
        super().__init__(histories, batch_size=batch_size, max_length=max_length, window=window)
        self._items = self.items
        self.items = np.arange(len(self._items))  # batches of event indices, replaced by items
        self._before, self._after = gap_codes(histories)
        self._earlier, self._profiles = earlier, profiles
        self._rows, self._offsets = histories.rows, histories.offsets

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """Return all sequences in a new random order."""
        plan = super().epoch(seed, epoch)
        return Epoch(len(plan), lambda i: self._with_inputs(plan[i]))

    def _with_inputs(self, batch: Batch) -> Batch:
        events, targets = batch["items"].numpy(), batch["targets"].numpy()
        arrays = {
            "items": self._items[events],
            "targets": self._items[targets],
            "before": self._before[events],
            "after": self._after[events],
        }
        lengths = batch["lengths"].numpy()
        first = events[np.cumsum(lengths) - lengths]  # of each row
        rows = self._rows[first]
        if self._earlier:
            starts = self._offsets[rows]
            arrays["n_earlier"] = first - starts
            arrays["earlier"] = self._items[ranges(starts, first - starts)]
        if self._profiles is not None:
            arrays["profiles"] = self._profiles[rows]
        tensors = {key: torch.from_numpy(values) for key, values in arrays.items()}
        return {"lengths": batch["lengths"]} | tensors
