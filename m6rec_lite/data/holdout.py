"""Held-out questions, and splits of a data set into training, validation and test data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import offsets_of, ranges, row_indices


@dataclass(frozen=True, eq=False, repr=False)
class Holdout:
    """Questions with their answers: histories, and the items that each user chose next.

    Attributes:
        histories: ``n`` rows, the input of a model.
        targets: ``(total,)`` int32 indices into ``histories.item_ids``.
        target_offsets: ``(n + 1,)`` int64; row ``i`` has the targets
            ``targets[target_offsets[i]:target_offsets[i + 1]]``. In leave-one-out each row has one.
    """

    histories: Histories
    targets: np.ndarray
    target_offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.histories)

    def __repr__(self) -> str:
        return f"Holdout({len(self):,} questions, {len(self.targets):,} targets)"

    @cached_property
    def target_rows(self) -> np.ndarray:
        """``(total,)`` int64: the row that each target belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.target_offsets))

    def __getitem__(self, rows: slice | int | np.ndarray | Sequence[int]) -> Self:
        """Return some of the questions, by a slice, a mask, indices, or one index."""
        rows = row_indices(rows, len(self))
        lengths = np.diff(self.target_offsets)[rows]
        take = ranges(self.target_offsets[:-1][rows], lengths)
        return type(self)(self.histories[rows], self.targets[take], offsets_of(lengths))


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """A data set divided into training data, validation questions and test questions.

    Histories of the validation questions come from ``train``; those of the test questions also
    contain the validation targets. Items of the history are excluded from the ranking.

    Attributes:
        name: name of the rule, such as ``leave-one-out``.
        dataset: name of the data set.
        train: training data. Its ``item_ids`` are the catalogue of the whole split.
        validation: questions to tune on.
        test: questions to report on.
        candidates: ``(n_items,)`` bool, the items that may be ranked; None means all of them.
        tied_last: share of the test questions whose target has the timestamp of the event before
            it, so that the order of rows in the file determines the target.
    """

    name: str
    dataset: str
    train: Interactions
    validation: Holdout
    test: Holdout
    candidates: np.ndarray | None = None
    tied_last: float = 0.0

    def __repr__(self) -> str:
        return (
            f"Split({self.name!r} of {self.dataset!r}: train {self.train!r}, validation "
            f"{len(self.validation):,}, test {len(self.test):,}, hash {self.hash})"
        )

    @property
    def item_ids(self) -> np.ndarray:
        """``(n_items,)`` int64 or text: the catalogue, in the order of every score matrix."""
        return self.train.item_ids

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits that identify the test questions.

        They are the start of the SHA-256 of sorted lines, one for each pair of user and target: the
        ids as in the data set, separated by a tab. The order of rows in a file has no effect.
        """
        users = self.test.histories.user_ids[self.test.target_rows].tolist()
        items = self.item_ids[self.test.targets].tolist()
        lines = sorted(f"{user}\t{item}\n" for user, item in zip(users, items, strict=True))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:12]
