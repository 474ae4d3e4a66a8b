"""Neighbourhood models: user-based and item-based collaborative filtering.

Let R be the user-item matrix with 1 for each interaction. User-based filtering compares the rows of
R, item-based filtering the columns, by the shrunk cosine similarity

    similarity(a, b) = a . b / (|a| |b| + shrink),

where ``shrink`` reduces the similarity of pairs with few interactions. Only the ``k`` nearest
neighbours are used. Sources: Sarwar et al., *Item-based collaborative filtering*, 2001
(item-based); Ferrari Dacrema et al., *Are we really making much progress?*, 2019, section 3.2
(both, with shrinkage).
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders.base import SCORES_IN_MEMORY, Recommender, recency_weights
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.ranking import top_k

log = logging.getLogger(__name__)

#: Histories whose scores are timed by ``UserKNN.fit``.
PROBES = 4


class ItemKNN(Recommender):
    """Score an item by its similarity to the items of the history.

    ``score(u, j) = sum over i in history(u) of decay ** steps_back(i) * similarity(i, j)``, where
    ``similarity(i, j)`` is 0 unless ``i`` is among the ``k`` nearest neighbours of ``j``.

    Args:
        k: number of neighbours of each item. About 20 are best without decay, more with decay.
        shrink: added to the denominator of the cosine.
        decay: factor on the weight of an event for each step back in the history, in (0, 1]; 1
            ignores the order.
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
        norms = np.sqrt(by_item.sum(axis=1))  # (n_items,); the values of R are 0 and 1
        size = max(1, SCORES_IN_MEMORY // train.n_items)
        starts = range(0, train.n_items, size)
        blocks = []
        for start in tqdm(starts, "ItemKNN", disable=not progress or len(starts) < 4, leave=False):
            rows = slice(start, start + size)
            common = (by_item[rows] @ by_user).toarray()  # (block, n_items) users in common
            similarity = common / (np.outer(norms[rows], norms) + self.shrink + 1e-9)
            row = np.arange(len(similarity))
            similarity[row, start + row] = 0.0  # an item is not its own neighbour
            blocks.append(keep_top(similarity, self.k))
        # Row j of a block holds the neighbours of item j; the transpose has them in column j.
        self.similarity_ = sparse.vstack(blocks).T.tocsr()

    def _score(self, histories: Histories) -> np.ndarray:
        weights = recency_weights(histories, self.decay)
        return (histories.matrix(weights) @ self.similarity_).toarray()

    def _similarity(self, index: int) -> np.ndarray:
        return self.similarity_[:, [index]].toarray()[:, 0]


class UserKNN(Recommender):
    """Score an item by its interactions with the most similar training users.

    ``score(u, j) = sum over the k nearest training users v of similarity(u, v) * R[v, j]``, where u
    is a history and may belong to a new user. (The neighbours of a training user include the user
    itself, whose row only contains items of the history.) Time grows with the number of training
    users; ``fit`` logs how long a thousand histories take, if that is more than a minute.

    Args:
        k: number of neighbours of each history.
        shrink: added to the denominator of the cosine.
        decay: factor on the weight of an event for each step back, in (0, 1], both in the history
            and in the rows of the training users; 1 ignores the order.
    """

    #: The users' vectors by item, and their norms: made by the first call of ``score``.
    _prepared: tuple[sparse.csr_array, np.ndarray] | None = None

    def __init__(self, k: int = 100, shrink: float = 10.0, decay: float = 1.0) -> None:
        self.k = check_whole("k", k)
        check_in_range("shrink", shrink, 0)
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.shrink = shrink
        self.decay = decay

    def _fit(self, train: Interactions, *, progress: bool = True, **extras: Any) -> None:
        histories = train.histories()
        self.users_ = self._vectors(histories)  # (n_users, n_items)
        self._prepared = None
        if progress:
            self._announce(histories[:PROBES])

    def _announce(self, probes: Histories) -> None:
        """Log how long a thousand histories take, if that is more than a minute."""
        self._score(probes[:1])  # the first call transposes the matrix of the users
        start = time.perf_counter()
        self._score(probes)
        minutes = 1000 * (time.perf_counter() - start) / len(probes) / 60
        if minutes > 1:
            log.warning(
                "UserKNN compares each history with %s users: 1,000 histories take about %.0f "
                "minutes on this machine. ItemKNN compares items once, in fit",
                f"{self.users_.shape[0]:,}", minutes,
            )  # fmt: skip

    def _vectors(self, histories: Histories) -> sparse.csr_array:
        return histories.matrix(recency_weights(histories, self.decay))

    def _score(self, histories: Histories) -> np.ndarray:
        if self._prepared is None:
            self._prepared = self.users_.T.tocsr(), _norms(self.users_)
        by_item, users_norm = self._prepared
        queries = self._vectors(histories)  # (n, n_items)
        queries_norm = _norms(queries)
        scores = np.empty(queries.shape)
        size = max(1, SCORES_IN_MEMORY // self.users_.shape[0])
        for start in range(0, len(histories), size):
            rows = slice(start, start + size)
            similarity = (queries[rows] @ by_item).tocsr()  # (block, n_users), 0 is not stored
            row = np.repeat(np.arange(similarity.shape[0]), np.diff(similarity.indptr))
            product = queries_norm[rows][row] * users_norm[similarity.indices]
            similarity.data = similarity.data / (product + self.shrink + 1e-9)
            scores[rows] = (keep_top_of_sparse(similarity, self.k) @ self.users_).toarray()
        return scores


def keep_top(similarity: np.ndarray, k: int) -> sparse.csr_array:
    """Return the ``k`` highest positive entries of each row of a dense matrix, as sparse matrix."""
    indices = top_k(similarity, k)
    values = np.take_along_axis(similarity, indices, axis=1)
    rows, columns = np.nonzero(values > 0)
    entries = (values[rows, columns], (rows, indices[rows, columns]))
    return sparse.coo_array(entries, shape=similarity.shape).tocsr()


def keep_top_of_sparse(similarity: sparse.csr_array, k: int) -> sparse.csr_array:
    """Return the ``k`` highest entries of each row of a sparse matrix of positive values.

    The result equals that of ``keep_top`` on the dense matrix: of tied entries those with the
    lowest index are kept.
    """
    similarity.sort_indices()
    kept = np.ones(similarity.nnz, dtype=bool)
    bounds = zip(similarity.indptr[:-1], similarity.indptr[1:], strict=True)
    for start, stop in bounds:
        if stop - start > k:
            values = similarity.data[start:stop]
            threshold = np.partition(values, len(values) - k)[len(values) - k]
            above, tied = values > threshold, values == threshold
            kept[start:stop] = above | (tied & (np.cumsum(tied) <= k - above.sum()))
    offsets = np.append(0, np.cumsum(kept))[similarity.indptr]
    entries = (similarity.data[kept], similarity.indices[kept], offsets)
    return sparse.csr_array(entries, shape=similarity.shape)


def _norms(matrix: sparse.csr_array) -> np.ndarray:
    return np.sqrt(matrix.multiply(matrix).sum(axis=1))
