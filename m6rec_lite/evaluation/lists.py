"""Top-k lists with unresolved ties at the last rank.

A list consists of items that are certainly in it, and of t items tied at the boundary that share
the remaining s slots: each is in the list with probability s / t. Any quantity that is linear in
the list therefore has an exact expectation over the orders of the tied items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from m6rec_lite.data.ragged import positions_in_rows
from m6rec_lite.evaluation.ranking import check_k


@dataclass(frozen=True, eq=False)
class TopKLists:
    """Top-k lists of ``n`` rankings over ``n_items`` items.

    Attributes:
        sure: ``(n, n_items)`` 0/1, items in the list for every order of the ties.
        tied: ``(n, n_items)`` 0/1, items tied at the boundary; more than there are slots.
        slots: ``(n,)`` number of slots that the tied items share, 0 without ties at the boundary.
    """

    sure: sparse.csr_array
    tied: sparse.csr_array
    slots: np.ndarray

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]], n_items: int) -> TopKLists:
        """Create lists without ties from the item indices (not ids) of each user."""
        rows = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
        items = np.array([item for items in lists for item in items], dtype=np.int64)
        return cls(
            incidence(rows, items, (len(lists), n_items)),
            sparse.csr_array((len(lists), n_items)),
            np.zeros(len(lists)),
        )

    @cached_property
    def n_tied(self) -> np.ndarray:
        """Number of items tied at the boundary, ``(n,)``."""
        return np.diff(self.tied.indptr)

    @cached_property
    def share(self) -> np.ndarray:
        """Probability that a tied item is in the list, ``(n,)``."""
        return self.slots / np.maximum(self.n_tied, 1)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of items in each list, ``(n,)``."""
        return np.diff(self.sure.indptr) + self.slots

    @cached_property
    def inclusion(self) -> sparse.csr_array:
        """Probability of each item to be in the list, ``(n, n_items)``."""
        if not self.tied.nnz:
            return self.sure
        return (self.sure + sparse.diags_array(self.share) @ self.tied).tocsr()

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the expected mean over each list of a value per item: ``(n,)``."""
        total = self.sure @ values
        if self.tied.nnz:
            total = total + self.share * (self.tied @ values)
        return ratio(total, self.lengths)

    def draw(self, rng: np.random.Generator) -> TopKLists:
        """Return the lists with ties at the boundary broken at random."""
        if not self.tied.nnz:
            return self
        rows = np.repeat(np.arange(len(self.slots)), self.n_tied)
        order = np.lexsort((rng.random(len(rows)), rows))
        chosen = order[positions_in_rows(self.n_tied) < self.slots[rows]]
        drawn = incidence(rows[chosen], self.tied.indices[chosen], self.tied.shape)
        empty = sparse.csr_array(self.tied.shape)
        return TopKLists((self.sure + drawn).tocsr(), empty, np.zeros(len(self.slots)))


def incidence(rows: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Return a sparse 0/1 matrix with a one at each (row, item)."""
    return sparse.csr_array((np.ones(len(rows)), (rows, items)), shape=shape)


def ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return ``total / count``, NaN where the count is 0."""
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def top_lists(scores: np.ndarray, k: int | Sequence[int]) -> dict[int, TopKLists]:
    """Return the top-k lists of every row for each ``k``, with unresolved ties at the boundary.

    Only the ``max(k) + 1`` best items of a row are sorted; all items of a row are read only if
    there is a tie at its boundary.

    Args:
        scores: ``(n, n_items)`` float; -inf for items that may not be in a list.
        k: list lengths; values above the number of items are cut to it.
    """
    n, n_items = scores.shape
    ks = check_k(k)
    width = min(max(ks) + 1, n_items)
    best = np.argpartition(scores, n_items - width, axis=1)[:, n_items - width :]
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best, values = (np.take_along_axis(array, order, axis=1) for array in (best, values))
    row_of = np.broadcast_to(np.arange(n)[:, None], best.shape)
    results = {}
    for length in ks:
        cut = min(length, n_items)
        last = values[:, cut - 1, None]
        # There is a tie at the boundary if the next item has the score of the last one in the list.
        is_tied = np.zeros(n, dtype=bool)
        if cut < width:
            is_tied = (values[:, cut] == last[:, 0]) & (last[:, 0] > -np.inf)
        sure = (values > -np.inf) & (np.arange(width) < cut)
        sure &= ~(is_tied[:, None] & (values == last))
        shape, rows = (n, n_items), np.flatnonzero(is_tied)
        index, items = np.nonzero(scores[rows] == last[rows])
        slots = np.where(is_tied, cut - sure.sum(axis=1), 0).astype(np.float64)
        results[length] = TopKLists(
            incidence(row_of[sure], best[sure], shape),
            incidence(rows[index], items, shape),
            slots,
        )
    return results
