"""Item vectors learned from histories by skip-gram with negative sampling.

This is word2vec with histories as sentences and items as words (Mikolov et al., *Distributed
representations of words and phrases and their compositionality*, 2013; over items: Barkan and
Koenigstein, *Item2Vec*, 2016).

Every item has two vectors: u, for when it is the earlier of two items, and v, for when it is the
later. With q the distribution of the negatives and k their number for each pair, the loss is
smallest where ``u_i . v_j = ln(P(j | i) / q(j)) - ln k`` (Levy and Goldberg, *Neural word embedding
as implicit matrix factorization*, 2014). The vectors are therefore a table of lifts, as ``markov``
counts one, with ``2 * factors`` numbers for each item in place of one for each pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from tqdm.auto import tqdm

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.ranking import cosine_to

#: Rows that an item without training rows counts as in ``q``, so that its logarithm is finite.
UNSEEN_ROWS = 0.5


class Item2Vec(Recommender):
    """Pool the lifts that item vectors predict over the whole history.

    A training pair (i, j) is an item and a later one of the same history, at most ``window`` steps
    apart. In each epoch, each event draws its own reach from 1 to ``window`` uniformly, so that
    near pairs count more. For each pair, ``negatives`` items are drawn from
    ``q(j) ~ count(j) ** power``, and the loss is

    ``-ln sigmoid(u_i . v_j) - sum over negatives m of ln sigmoid(-u_i . v_m)``.

    With ``i_1`` the last item of the history, ``i_2`` the item before it, and so on, the score is

    ``ln q(j) + sum over s >= 1 of decay ** (s - 1) * u_(i_s) . v_j``.

    Similar items are alike in both vectors: in what follows them, and in what they follow.

    Args:
        factors: length of the vectors u and v.
        window: maximum distance of two items of a pair, in steps; 1 pairs neighbours only.
        negatives: number of items drawn for each pair.
        power: exponent of the counts in q, from 0 (uniform) to 1 (in proportion to the counts).
        symmetric: also use each pair in reverse, as word2vec does; False keeps the order of items.
        epochs: passes over the training rows.
        lr: learning rate of AdaGrad.
        batch_size: pairs per step; reduced if an epoch would have fewer than about fifty steps.
        decay: factor on the weight of an event for each step back in the history, in (0, 1].
        seed: seed of the initial vectors, the pairs and the negatives.

    Attributes:
        item_factors_: ``(n_items, factors)``, u; 0 for items without a pair as the earlier one.
        next_factors_: ``(n_items, factors)``, v.
        log_base_: ``(n_items,)``, ``ln q``.
    """

    def __init__(
        self,
        factors: int = 64,
        window: int = 5,
        negatives: int = 5,
        power: float = 0.75,
        symmetric: bool = False,
        epochs: int = 10,
        lr: float = 0.2,
        batch_size: int = 4096,
        decay: float = 0.8,
        seed: int = 0,
    ) -> None:
        check_in_range("power", power, 0, 1)
        check_in_range("lr", lr, 0, open_low=True)
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.factors = check_whole("factors", factors)
        self.window = check_whole("window", window)
        self.negatives = check_whole("negatives", negatives)
        self.power = power
        self.symmetric = symmetric
        self.epochs = check_whole("epochs", epochs)
        self.lr = lr
        self.batch_size = check_whole("batch_size", batch_size)
        self.decay = decay
        self.seed = seed

    def _fit(self, train: Interactions, *, progress: bool = True, **extras: Any) -> None:
        rng, n = np.random.default_rng(self.seed), train.n_items
        counts = np.bincount(train.items, minlength=n).astype(np.float64)
        cumulative = np.cumsum(counts**self.power * (counts > 0))
        cumulative /= cumulative[-1]
        u = (rng.standard_normal((n, self.factors)) / self.factors).astype(np.float32)
        v = np.zeros_like(u)
        squares = np.zeros((2, n), dtype=np.float32)  # of AdaGrad, one per vector
        has_pair = np.zeros(n, dtype=bool)
        for _ in tqdm(range(self.epochs), self.name, disable=not progress, leave=False):
            pairs = later_pairs(train, self.window, rng)
            if self.symmetric:
                pairs = np.concatenate([pairs, pairs[:, ::-1]])
            pairs = rng.permutation(pairs)
            has_pair[pairs[:, 0]] = True
            size = min(self.batch_size, max(32, len(pairs) // 50))
            for start in range(0, len(pairs), size):
                earlier, later = pairs[start : start + size].T
                drawn = rng.random((len(earlier), self.negatives))
                negatives = np.searchsorted(cumulative, drawn, side="right")
                _, *gradients = skip_gram_gradients(u, v, earlier, later, negatives)
                for theta, total, g in zip((u, v), squares, gradients, strict=True):
                    total += np.einsum("if,if->i", g, g) / self.factors
                    theta -= self.lr * g / np.sqrt(total + 1e-10)[:, None]
        self.item_factors_ = np.where(has_pair[:, None], u, np.float32(0))
        self.next_factors_ = v
        share = np.maximum(counts, UNSEEN_ROWS) ** self.power
        self.log_base_ = np.log(share / share.sum())

    def _score(self, histories: Histories) -> np.ndarray:
        weights = histories.matrix(self.decay ** histories.steps_back.astype(np.float64))
        profiles = weights @ self.item_factors_.astype(np.float64)  # (n, factors)
        return self.log_base_ + profiles @ self.next_factors_.T.astype(np.float64)

    def _similarity(self, index: int) -> np.ndarray:
        return cosine_to(np.hstack([self.item_factors_, self.next_factors_]), index)


def later_pairs(train: Interactions, window: int, rng: np.random.Generator) -> np.ndarray:
    """Return pairs of an item and a later one of the same history.

    Each event draws a reach from 1 to ``window`` and is paired with that number of events after
    it, or fewer at the end of the history.

    Returns:
        ``(n, 2)`` int64: the earlier item, the later item.
    """
    reach = rng.integers(1, window + 1, size=len(train))
    items, parts = train.items.astype(np.int64), []
    for step in range(1, min(window, len(train) - 1) + 1):
        used = (train.users[step:] == train.users[:-step]) & (reach[:-step] >= step)
        parts.append(np.column_stack([items[:-step][used], items[step:][used]]))
    return np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int64)


def skip_gram_gradients(
    u: np.ndarray, v: np.ndarray, earlier: np.ndarray, later: np.ndarray, negatives: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Compute the loss of skip-gram with negative sampling and its gradients.

    The loss is the sum over the pairs (i, j) of ``-ln sigmoid(u_i . v_j)`` and, for each negative m
    of the pair, ``-ln sigmoid(-u_i . v_m)``.

    Args:
        u: ``(n_items, factors)``, vectors of earlier items.
        v: ``(n_items, factors)``, vectors of later items.
        earlier: ``(n,)`` indices i.
        later: ``(n,)`` indices j.
        negatives: ``(n, k)`` indices m.

    Returns:
        The loss, its gradient with respect to u, and that with respect to v, both
        ``(n_items, factors)``.
    """
    columns = np.column_stack([later, negatives])  # (n, 1 + k)
    scores = np.einsum("nf,nkf->nk", u[earlier], v[columns])
    label = np.zeros_like(scores)
    label[:, 0] = 1
    loss = np.logaddexp(0, np.where(label == 1, -scores, scores)).sum()
    rows = np.repeat(earlier, columns.shape[1])
    slopes = (expit(scores) - label).ravel()  # derivatives of the loss by the scores
    d = sparse.coo_array((slopes, (rows, columns.ravel())), shape=(len(u), len(v))).tocsr()
    return float(loss), d @ v, d.T @ u
