"""Neighbourhood models: "people like you took" and "who took this also took".

Both compare rows of the same matrix R of users and items, 1 where a user met an item: user-based
filtering compares its rows, item-based filtering its columns, by cosine,

    similarity(a, b) = a . b / (|a| |b| + shrink),

where ``shrink`` holds back pairs that rest on little evidence. Only the ``k`` nearest neighbours
count. Sources: Sarwar et al., *Item-based collaborative filtering*, 2001 (item-based); Ferrari
Dacrema et al., *Are we really making much progress?*, 2019, section 3.2 (both, with shrinkage).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders.base import SCORES_IN_MEMORY, Recommender, recency_weights
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.ranking import top_k


class ItemKNN(Recommender):
    """Scores an item by its similarity to the items of the history.

    ``score(u, j) = sum over i in history(u) of decay ** steps_back(i) * similarity(i, j)``, where
    ``similarity(i, j)`` counts only if ``i`` is among the ``k`` nearest neighbours of ``j``. With
    ``decay < 1`` what was met last weighs most, which is most of what an order-blind neighbour
    model misses in a sequence.

    Args:
        k: neighbours kept for each item. Few (20) serve best without decay, more with it.
        shrink: added to the denominator of the cosine; 0 trusts pairs seen once.
        decay: weight lost with each step back in the history, in (0, 1]; 1 is order-blind.
    """

    def __init__(self, k: int = 200, shrink: float = 10.0, decay: float = 1.0) -> None:
        self.k = check_whole("k", k)
        check_in_range("shrink", shrink, 0)
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.shrink = shrink
        self.decay = decay

    def _fit(self, train: Interactions, *, progress: bool = True, **extras: Any) -> None:
        by_item = train.matrix().astype(np.float32).T.tocsr()  # (n_items, n_users)
        by_user = by_item.T.tocsr()
        norms = np.sqrt(by_item.sum(axis=1))  # (n_items,), the columns of R hold only 0 and 1
        size = max(1, SCORES_IN_MEMORY // train.n_items)
        starts = range(0, train.n_items, size)
        blocks = []
        for start in tqdm(starts, "ItemKNN", disable=not progress or len(starts) < 4, leave=False):
            rows = slice(start, start + size)
            together = (by_item[rows] @ by_user).toarray()  # (block, n_items) users in common
            similarity = together / (np.outer(norms[rows], norms) + self.shrink + 1e-9)
            here = np.arange(len(similarity))
            similarity[here, start + here] = 0.0  # an item is no neighbour of itself
            blocks.append(keep_top(similarity, self.k))
        # Row j holds the neighbours of item j; a history (1, n_items) meets them in the columns.
        self.similarity_ = sparse.vstack(blocks).T.tocsr()

    def _score(self, histories: Histories) -> np.ndarray:
        weights = recency_weights(histories, self.decay)
        return (histories.matrix(weights) @ self.similarity_).toarray()

    def _similarity(self, place: int) -> np.ndarray:
        return self.similarity_[:, [place]].toarray()[:, 0]


class UserKNN(Recommender):
    """Scores an item by how many of the most similar training users took it.

    ``score(u, j) = sum over the k nearest training users v of similarity(u, v) * R[v, j]``. The
    history is compared with the training users as they were in training; it may belong to anybody.
    (A training user's own row is among the neighbours; it holds only items already seen.)

    Args:
        k: neighbours kept for each history.
        shrink: added to the denominator of the cosine.
        decay: weight lost with each step back, in (0, 1], in the history that is asked about and
            in the rows of the neighbours: two users are alike if what they met last is alike.
    """

    def __init__(self, k: int = 100, shrink: float = 10.0, decay: float = 1.0) -> None:
        self.k = check_whole("k", k)
        check_in_range("shrink", shrink, 0)
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.shrink = shrink
        self.decay = decay

    def _fit(self, train: Interactions, **extras: Any) -> None:
        self.users_ = self._vectors(train.histories())  # (n_users, n_items)

    def _vectors(self, histories: Histories) -> sparse.csr_array:
        return histories.matrix(recency_weights(histories, self.decay))

    def _score(self, histories: Histories) -> np.ndarray:
        asked = self._vectors(histories)  # (n, n_items)
        users_norm, asked_norm = _norms(self.users_), _norms(asked)
        scores = np.empty(asked.shape)
        size = max(1, SCORES_IN_MEMORY // self.users_.shape[0])
        by_item = self.users_.T.tocsr()
        for start in range(0, len(histories), size):
            rows = slice(start, start + size)
            similarity = (asked[rows] @ by_item).toarray()  # (block, n_users)
            similarity /= np.outer(asked_norm[rows], users_norm) + self.shrink + 1e-9
            scores[rows] = (keep_top(similarity, self.k) @ self.users_).toarray()
        return scores


def keep_top(similarity: np.ndarray, k: int) -> sparse.csr_array:
    """The ``k`` highest positive entries of each row of a dense ``(n, m)`` block, as sparse."""
    places = top_k(similarity, k)
    values = np.take_along_axis(similarity, places, axis=1)
    rows, columns = np.nonzero(values > 0)
    entries = (values[rows, columns], (rows, places[rows, columns]))
    return sparse.coo_array(entries, shape=similarity.shape).tocsr()


def _norms(matrix: sparse.csr_array) -> np.ndarray:
    return np.sqrt(matrix.multiply(matrix).sum(axis=1))
