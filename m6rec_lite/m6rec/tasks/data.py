"""The data of a task: a dataset, its split, its ground truth, and the seed of draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from m6rec_lite.data import Dataset, Histories, Split, leave_one_out
from m6rec_lite.data.bazaar.oracle import OracleRecommender
from m6rec_lite.data.holdout import Holdout
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.m6rec.tasks.truth import Truth


@dataclass(frozen=True, eq=False)
class TaskData:
    """A dataset, its split, and what the evaluation of answers needs.

    Attributes:
        dataset: its tables.
        split: training rows, and validation and test queries.
        truth: ground truth of the simulator; None for other datasets.
        seed: of all draws of rows, and of held-out writers, users and dialogues.
        held_out: share of writers, users and dialogues that no task is trained on. Use the ``seed``
            of pretraining, so that they are held out there too.
    """

    dataset: Dataset
    split: Split
    truth: Truth | None = None
    seed: int = 0
    held_out: float = 0.05

    @classmethod
    def of(cls, dataset: Dataset, split: Split | None = None, *, seed: int = 0) -> Self:
        """Return a dataset with its truth, if it has one; split by leave-one-out by default."""
        truth = None if dataset.oracle is None else Truth(dataset)
        return cls(dataset, leave_one_out(dataset) if split is None else split, truth, seed)

    @cached_property
    def text(self) -> BehaviourText:
        """The default verbalization of the dataset, to compare answers with."""
        return BehaviourText(self.dataset)

    @cached_property
    def oracle(self) -> OracleRecommender | None:
        """The oracle's ranking, the best possible, of a simulated dataset; else None."""
        oracle = self.dataset.oracle
        return None if oracle is None else oracle.recommender(self.split.item_ids)

    def draw(self, n: int, limit: int | None) -> np.ndarray:
        """Return ``limit`` sorted indices below ``n``, drawn at random; None returns all."""
        if limit is None or n <= limit:
            return np.arange(n)
        return np.sort(np.random.default_rng(self.seed).permutation(n)[:limit])

    def questions(self, part: str, limit: int | None = None) -> Holdout:
        """Return at most ``limit`` queries of validation or test."""
        holdout: Holdout = getattr(self.split, part)
        return holdout[self.draw(len(holdout), limit)]

    def last_events(self, limit: int | None = None) -> tuple[Histories, np.ndarray]:
        """Return each user's training history before its last event, and that event's item.

        Returns:
            ``n`` histories of one event or more, and ``(n,)`` indices into ``split.item_ids``.
        """
        histories = self.split.train.histories()
        rows = np.flatnonzero(histories.lengths >= 2)
        rows = rows[self.draw(len(rows), limit)]
        ends = histories.offsets[1:][rows] - 1
        before = histories.first_events(
            rows, histories.lengths[rows] - 1, histories.timestamps[ends]
        )
        return before, histories.items[ends]
