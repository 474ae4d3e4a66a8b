"""A dataset as every task receives it: tables, split, truth, and the seed of its draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """A dataset, its split, and what is needed to judge answers about it.

    Attributes:
        dataset: its tables.
        split: what may be learned from, and the questions of validation and test.
        truth: the simulator's truth; None for datasets that have none.
        seed: of every draw of rows; also of the held-out writers, users and dialogues.
        held_out: share of writers, users and dialogues that no task learns from. With ``seed`` as
            in pretraining, so that pretraining has not read them either.
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
        """Titles and item texts in their default words, to compare answers with."""
        return BehaviourText(self.dataset)

    @cached_property
    def oracle(self) -> OracleRecommender | None:
        """The best ranking there can be, of a simulated dataset."""
        oracle = self.dataset.oracle
        return None if oracle is None else oracle.recommender(self.split.item_ids)

    def draw(self, n: int, limit: int | None) -> np.ndarray:
        """Return ``limit`` of the indices below ``n``, drawn and sorted; None: all of them."""
        if limit is None or n <= limit:
            return np.arange(n)
        return np.sort(np.random.default_rng(self.seed).permutation(n)[:limit])

    def questions(self, part: str, limit: int | None = None) -> Holdout:
        """Return the split's questions of validation or test, at most ``limit`` of them."""
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
        before = first_events(
            histories, rows, histories.lengths[rows] - 1, histories.timestamps[ends]
        )
        return before, histories.items[ends]


def first_events(
    histories: Histories, rows: np.ndarray, lengths: np.ndarray, at: np.ndarray
) -> Histories:
    """Return rows of histories as they were at earlier moments.

    Args:
        histories: any.
        rows: ``(n,)`` indices of rows, repeats allowed.
        lengths: ``(n,)`` how many of the row's events, from the oldest, had happened.
        at: ``(n,)`` unix seconds: the moment.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    starts = histories.offsets[:-1][rows]
    take = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return replace(
        histories,
        user_ids=histories.user_ids[rows],
        at=np.asarray(at, dtype=np.int64),
        offsets=offsets,
        items=histories.items[take],
        events=histories.events[take],
        timestamps=histories.timestamps[take],
    )
