"""The first ``k`` places of rankings, with the ties at the edge left open.

A list is made of items that are certainly in, and of items tied at the edge that share the places
left: each of t tied items is in with probability s / t where s places remain. So whatever is
linear in the list has an exact expectation over the orders of the tied items.
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
    """The first ``k`` places of ``n`` rankings over ``n_items`` items.

    Attributes:
        sure: ``(n, n_items)`` 0/1, items in the list whatever the order of ties.
        tied: ``(n, n_items)`` 0/1, items tied at the edge of the list; more than there is room for.
        slots: ``(n,)`` places that the tied items share, 0 where nothing is tied at the edge.
    """

    sure: sparse.csr_array
    tied: sparse.csr_array
    slots: np.ndarray

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]], n_items: int) -> TopKLists:
        """Lists that are already decided: the places (not ids) of the items of each user."""
        rows = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
        items = np.array([item for each in lists for item in each], dtype=np.int64)
        return cls(
            incidence(rows, items, (len(lists), n_items)),
            sparse.csr_array((len(lists), n_items)),
            np.zeros(len(lists)),
        )

    @cached_property
    def n_tied(self) -> np.ndarray:
        """``(n,)`` the number of items tied at the edge."""
        return np.diff(self.tied.indptr)

    @cached_property
    def share(self) -> np.ndarray:
        """``(n,)`` the probability with which a tied item is in the list."""
        return self.slots / np.maximum(self.n_tied, 1)

    @cached_property
    def lengths(self) -> np.ndarray:
        """``(n,)`` the number of items in each list."""
        return np.diff(self.sure.indptr) + self.slots

    @cached_property
    def inclusion(self) -> sparse.csr_array:
        """``(n, n_items)`` the probability of each item to be in the list."""
        if not self.tied.nnz:
            return self.sure
        return (self.sure + sparse.diags_array(self.share) @ self.tied).tocsr()

    def mean(self, values: np.ndarray) -> np.ndarray:
        """``(n,)`` the expected mean over the list of a value given an item."""
        total = self.sure @ values
        if self.tied.nnz:
            total = total + self.share * (self.tied @ values)
        return ratio(total, self.lengths)

    def draw(self, rng: np.random.Generator) -> TopKLists:
        """The same lists with the ties at the edge settled at random."""
        if not self.tied.nnz:
            return self
        rows = np.repeat(np.arange(len(self.slots)), self.n_tied)
        order = np.lexsort((rng.random(len(rows)), rows))
        place = positions_in_rows(self.n_tied)
        chosen = order[place < self.slots[rows]]
        drawn = incidence(rows[chosen], self.tied.indices[chosen], self.tied.shape)
        empty = sparse.csr_array(self.tied.shape)
        return TopKLists((self.sure + drawn).tocsr(), empty, np.zeros(len(self.slots)))


def incidence(rows: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """0/1 matrix with a one at each (row, item)."""
    return sparse.csr_array((np.ones(len(rows)), (rows, items)), shape=shape)


def ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """``total / count``, NaN where the count is 0."""
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def top_lists(scores: np.ndarray, k: int | Sequence[int]) -> dict[int, TopKLists]:
    """The first ``k`` places of every row, for each ``k``, ties at the edge left open.

    Only the ``max(k) + 1`` best of a row are ordered. A row whose ties reach beyond those is the
    one case in which all its items are looked at.

    Args:
        scores: ``(n, n_items)`` float; -inf for items that may not be in a list.
        k: list lengths; one beyond the catalogue equals the catalogue.
    """
    n, n_items = scores.shape
    ks = check_k(k)
    width = min(max(ks) + 1, n_items)
    best = np.argpartition(scores, n_items - width, axis=1)[:, n_items - width :]
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best, values = (np.take_along_axis(each, order, axis=1) for each in (best, values))
    row_of = np.broadcast_to(np.arange(n)[:, None], best.shape)
    found = {}
    for each in ks:
        cut = min(each, n_items)
        edge = values[:, cut - 1, None]
        # The edge is open where the first item left out has the score of the last one taken in.
        open_rows = np.zeros(n, dtype=bool)
        if cut < width:
            open_rows = (values[:, cut] == edge[:, 0]) & (edge[:, 0] > -np.inf)
        sure = (values > -np.inf) & (np.arange(width) < cut)
        sure &= ~(open_rows[:, None] & (values == edge))
        shape, which = (n, n_items), np.flatnonzero(open_rows)
        at, items = np.nonzero(scores[which] == edge[which])
        slots = np.where(open_rows, cut - sure.sum(axis=1), 0).astype(np.float64)
        found[each] = TopKLists(
            incidence(row_of[sure], best[sure], shape),
            incidence(which[at], items, shape),
            slots,
        )
    return found
