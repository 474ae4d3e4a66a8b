"""Markov chains over items: predict the next item from counts of item transitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import logsumexp

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.language import AbsoluteDiscounting, KneserNey, NGram, Smoothing, WittenBell
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_in_range, check_whole


class Bigram(Recommender):
    """First-order Markov chain: score the items by how often they follow the last item.

    With i the last item of the history, ``count(i, j)`` the number of times that j directly follows
    i in training, and ``share(j)`` the share of j among all training rows,

    ``P(j | i) = (count(i, j) + prior * share(j)) / (sum over j' of count(i, j') + prior)``.

    This is the maximum-likelihood estimate with ``prior`` pseudo-observations distributed like the
    popularity (MacKay and Peto, *A hierarchical Dirichlet language model*, 1995). With a prior of 1
    the popularity only orders items with equal counts. For an empty history, or a last item without
    a successor in training, the order is that of the popularity.

    Args:
        prior: number of pseudo-observations, 0 or more; 0 is the maximum-likelihood estimate.
    """

    def __init__(self, prior: float = 1.0) -> None:
        check_in_range("prior", prior, 0)
        self.prior = prior

    def _fit(self, train: Interactions, **extras: Any) -> None:
        same_user = train.users[1:] == train.users[:-1]
        pairs = (train.items[:-1][same_user], train.items[1:][same_user])  # item, next item
        shape = (train.n_items, train.n_items)
        counts = sparse.coo_array((np.ones(len(pairs[0])), pairs), shape=shape)
        self.counts_ = counts.tocsr()  # adds up repeated pairs

    def _score(self, histories: Histories) -> np.ndarray:
        counts = histories.last(1).matrix() @ self.counts_  # (n, n_items)
        share = self.popularity_ / self.popularity_.sum()
        totals = counts.sum(axis=1)[:, None] + self.prior  # (n, 1)
        return (counts.toarray() + self.prior * share) / np.maximum(totals, 1e-12)

    def _similarity(self, index: int) -> np.ndarray:
        return self.counts_[[index]].toarray()[0]


#: Smoothing methods with a non-zero backoff weight after every item, as functions of the discount.
SMOOTHINGS: dict[str, Callable[[float], Smoothing]] = {
    "absolute-discounting": lambda discount: AbsoluteDiscounting(discount),
    "kneser-ney": lambda discount: KneserNey(discount),
    "witten-bell": lambda discount: WittenBell(),
}


class Markov(Recommender):
    """Combine smoothed bigrams and skip-grams of items over the whole history.

    ``m6rec_lite.language.NGram`` counts the bigrams of the histories, and the skip-grams with up to
    ``skips`` items between the two. Both tables are smoothed and back off to the popularity. The
    *lift*

    ``L(i, j) = log P(j | i) - log P(j)``

    is the increase of the log probability of j after i. With ``i_1`` the last item of the history
    ``h``, ``i_2`` the item before it, and so on,

    ``log P(j | h) = log P(j) + L_next(i_1, j)
    + weight * sum over s >= 2 of decay ** (s - 2) * L_skip(i_s, j) - log Z(h)``,

    where ``Z(h)`` normalises the probabilities. With ``weight=0`` this is the smoothed bigram
    model. The weighted sum of logarithms is a *log-linear* interpolation (Klakow, *Log-linear
    interpolation of language models*, 1998). Skip-grams: Guthrie et al., *A closer look at
    skip-gram modelling*, 2006. Discounts: see ``language.discounting``.

    Scoring is a product of sparse matrices. For a pair without a count, ``P(j | i) = gamma(i)
    P(j)``, so its lift is ``log gamma(i)``, the same for all such j, and ``Z`` cancels it. The rest
    of the lift, ``log(1 + alpha(i, j) / (gamma(i) P(j)))``, is non-zero for counted pairs only.

    Args:
        smoothing: ``"absolute-discounting"``, whose ``P(j)`` is popularity; ``"kneser-ney"``, whose
            ``P(j)`` is proportional to the number of distinct items before ``j``; or
            ``"witten-bell"``.
        discount: subtracted from every count, above 0 and at most 1; unused by Witten-Bell.
        skips: maximum number of items between the two items of a skip-gram, at least 1.
        skip_weight: factor on the count of a skip-gram for each item between, in (0, 1].
        weight: weight of the lifts of earlier items relative to that of the last item, 0 or more.
        decay: factor on the weight for each further step back, in (0, 1].

    The defaults maximise the product of the validation NDCG@10 on the bazaar, MovieLens-100K and
    MovieLens-1M over a grid of these arguments.

    Attributes:
        log_base_: ``(n_items,)`` float64, ``log P(j)``.
        next_: ``(n_items, n_items)`` sparse, ``L_next(i, j) - log gamma(i)``.
        skip_: the same for the skip-grams.
    """

    def __init__(
        self,
        smoothing: str = "absolute-discounting",
        discount: float = 0.95,
        skips: int = 6,
        skip_weight: float = 0.8,
        weight: float = 0.6,
        decay: float = 0.8,
    ) -> None:
        if smoothing not in SMOOTHINGS:
            raise ValueError(f"smoothing must be one of {', '.join(SMOOTHINGS)}, got {smoothing!r}")
        check_in_range("discount", discount, 0, 1, open_low=True)
        check_in_range("skip_weight", skip_weight, 0, 1, open_low=True)
        check_in_range("weight", weight, 0)
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.smoothing = smoothing
        self.discount = discount
        self.skips = check_whole("skips", skips)
        self.skip_weight = skip_weight
        self.weight = weight
        self.decay = decay

    def _fit(self, train: Interactions, *, progress: bool = True, **extras: Any) -> None:
        smoothing = SMOOTHINGS[self.smoothing](self.discount)
        bigrams = item_ngram(train, smoothing, progress=progress)
        skipgrams = item_ngram(
            train, smoothing, progress=progress, skips=self.skips, skip_weight=self.skip_weight
        )
        self.log_base_, self.next_ = sparse_lifts(bigrams)
        _, self.skip_ = sparse_lifts(skipgrams)

    def _score(self, histories: Histories) -> np.ndarray:
        back = histories.steps_back.astype(np.float64)
        earlier = np.where(back > 0, self.weight * self.decay ** (back - 1), 0.0)
        lifts = histories.last(1).matrix() @ self.next_ + histories.matrix(earlier) @ self.skip_
        scores = self.log_base_ + lifts.toarray()  # (n, n_items)
        return scores - logsumexp(scores, axis=1, keepdims=True)

    def _similarity(self, index: int) -> np.ndarray:
        return self.next_[[index]].toarray()[0]


def item_ngram(
    train: Interactions,
    smoothing: str | Smoothing,
    order: int = 2,
    *,
    progress: bool = True,
    **options: Any,
) -> NGram:
    """Fit an n-gram language model whose sentences are the histories and whose words are items.

    Args:
        train: the histories, by user, oldest first.
        smoothing: a name or an object that ``NGram`` accepts.
        order: length of the longest n-grams.
        progress: show a progress bar if counting takes longer than two seconds.
        options: further arguments of ``NGram``, such as ``skips``.

    Returns:
        The fitted model. Its vocabulary is ``train.item_ids``, so that the token id is the index of
        the item. There are no tokens for the start and the end of a history.
    """
    model = NGram(order, smoothing, vocabulary=train.item_ids, unknown=None, edges=None, **options)
    lengths = np.bincount(train.users, minlength=train.n_users)
    return model.fit_ids(train.items.astype(np.int64), lengths, progress=progress)


def sparse_lifts(model: NGram) -> tuple[np.ndarray, sparse.csr_array]:
    """Compute ``log P(j)``, and ``log P(j | i) - log P(j) - log gamma(i)``, of a bigram model.

    Args:
        model: a fitted model of order 2 with a smoothing of ``SMOOTHINGS``.

    Returns:
        ``(V,)`` float64, and a sparse ``(V, V)`` matrix with an entry for each counted bigram.
    """
    size, counts, estimate = len(model.vocabulary), model.counts_, model.estimate_
    base = estimate.alphas[0][:size] + estimate.gammas[0][0] * estimate.floor  # P(j)
    first, second = counts.keys[0] // size, counts.keys[0] % size
    alpha, gamma = estimate.alphas[1][: len(first)], estimate.gammas[1][first]
    lifts = np.log1p(alpha / (gamma * base[second]))
    matrix = sparse.csr_array((lifts, (first, second)), shape=(size, size))
    matrix.eliminate_zeros()
    return np.log(base), matrix
