"""Timed training steps of a sequence recommender, for the benchmarks that compare two of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m6rec_lite.data import Dataset, Interactions
    from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender


class Steps:
    """Training steps of one model on its batches of the first epoch.

    Args:
        model: unfitted.
        train: training rows.
        dataset: that they come from.
    """

    def __init__(self, model: SequenceRecommender, train: Interactions, dataset: Dataset) -> None:
        import torch

        from m6rec_lite.training import Callback, Run

        class Stop(Callback):
            def step(self, run: Run) -> None:
                run.stopping = "the first step builds the network"

        model.fit(train, items=dataset.items, callbacks=[Stop()], progress=False)
        self.model, self.network = model, model._network.train()
        self.plan = model._batches(train.histories()).epoch(0, 0)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=model.lr, fused=True)

    def seconds(self, i: int) -> float:
        """Return the CPU seconds of a step on batch ``i``."""
        batch = self.plan[i % len(self.plan)]
        clock = time.process_time()
        self.model._loss(self.network, batch).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.process_time() - clock
