"""Markov chains over items: what came next, the last time somebody was here."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders.base import Recommender


class Bigram(Recommender):
    """Counts which item follows which, and scores by the share: a first-order Markov chain.

    ``score(u, j) = count(last(u), j) / sum over j' of count(last(u), j')``, the maximum-likelihood
    estimate of P(next = j | last), where ``count(i, j)`` is how often a training user met ``j``
    right after ``i``. Only the last item of the history matters. There is no smoothing: what never
    followed scores 0. An empty history, and a last item that nothing ever followed, back off to
    popularity.
    """

    def _fit(self, train: Interactions, **extras: Any) -> None:
        same_user = train.users[1:] == train.users[:-1]
        pairs = (train.items[:-1][same_user], train.items[1:][same_user])  # item, next item
        shape = (train.n_items, train.n_items)
        counts = sparse.coo_array((np.ones(len(pairs[0])), pairs), shape=shape)
        self.counts_ = counts.tocsr()  # adds up pairs that repeat

    def _score(self, histories: Histories) -> np.ndarray:
        last = histories.last(1)  # rows of one event, or none
        followers = last.matrix() @ self.counts_  # (n, n_items)
        totals = np.maximum(followers.sum(axis=1), 1.0)
        return followers.toarray() / totals[:, None]

    def _similarity(self, place: int) -> np.ndarray:
        return self.counts_[[place]].toarray()[0]
