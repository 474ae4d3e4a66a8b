"""Markov chains over items: what came next, the last time somebody was here."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders.base import Recommender, check_in_range


class Bigram(Recommender):
    """Counts which item follows which, and scores by the share: a first-order Markov chain.

    With ``count(i, j)`` how often a training user met ``j`` right after ``i``, ``i`` the last item
    of the history, and ``share(j)`` the share of all training rows that are ``j``,

    ``P(j | i) = (count(i, j) + prior * share(j)) / (sum over j' of count(i, j') + prior)``.

    That is the maximum-likelihood estimate with ``prior`` imaginary observations spread as
    popularity is (MacKay and Peto, *A hierarchical Dirichlet language model*, 1995). With one of
    them no count is ever overruled: they only put in order, by popularity, what followed equally
    often, or never. After an item that nothing followed, and for an empty history, popularity is
    all that is left.

    Args:
        prior: imaginary observations, 0 or more; 0 is the bare maximum-likelihood estimate.
    """

    def __init__(self, prior: float = 1.0) -> None:
        check_in_range("prior", prior, 0)
        self.prior = prior

    def _fit(self, train: Interactions, **extras: Any) -> None:
        same_user = train.users[1:] == train.users[:-1]
        pairs = (train.items[:-1][same_user], train.items[1:][same_user])  # item, next item
        shape = (train.n_items, train.n_items)
        counts = sparse.coo_array((np.ones(len(pairs[0])), pairs), shape=shape)
        self.counts_ = counts.tocsr()  # adds up pairs that repeat

    def _score(self, histories: Histories) -> np.ndarray:
        followers = histories.last(1).matrix() @ self.counts_  # (n, n_items)
        share = self.popularity_ / self.popularity_.sum()
        totals = followers.sum(axis=1)[:, None] + self.prior  # (n, 1)
        return (followers.toarray() + self.prior * share) / np.maximum(totals, 1e-12)

    def _similarity(self, place: int) -> np.ndarray:
        return self.counts_[[place]].toarray()[0]
