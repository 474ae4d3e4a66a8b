"""What BPR, WARP and logistic matrix factorization share: they differ in one derivative only.

All three score ``s_ui = u . v_i + b_i``, draw items j that the user did not meet, and go down the
gradient of a loss of scores. The letters: U ``(n_users,
factors)``, V ``(n_items, factors)``, b ``(n_items,)``; D the matrix of users and items whose entry
``D_ui`` is the derivative of the loss by ``s_ui`` (0 where the sample has no such pair). Then

    dL/dU = D V,    dL/dV = D' U,    dL/db = column sums of D,

two products of a sparse with a dense matrix for a whole batch, both from the old U and V.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.nn.optim import DivergenceError
from m6rec_lite.recommenders.base import Recommender, recency_weights
from m6rec_lite.recommenders.params import check_in_range, check_whole


class Sampler:
    """The parameters while they are learnt: scores pairs, draws negatives, takes AdaGrad steps."""

    def __init__(self, met: sparse.csr_array, factors: int, rng: np.random.Generator) -> None:
        self.n_items = met.shape[1]
        self.rng = rng
        self.users = np.repeat(np.arange(met.shape[0]), np.diff(met.indptr))  # (nnz,)
        self.items = met.indices.astype(np.int64)
        self._met = self.users * self.n_items + self.items  # ascending: one number a pair
        # A met pair has its slot taken. Most others find theirs free, which spares them a search.
        self._taken = np.zeros(8 * len(self._met) + 1, dtype=bool)
        self._taken[self._met % len(self._taken)] = True
        scale = 0.1 / np.sqrt(factors)
        self.u = (scale * rng.standard_normal((met.shape[0], factors))).astype(np.float32)
        self.v = (scale * rng.standard_normal((met.shape[1], factors))).astype(np.float32)
        self.b = np.zeros((met.shape[1], 1), dtype=np.float32)
        self._squares = [np.zeros(len(theta), np.float32) for theta in (self.u, self.v, self.b)]

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """``(n,)`` scores of pairs."""
        return np.einsum("nf,nf->n", self.u[users], self.v[items]) + self.b[items, 0]

    def draw(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One item for each user, each equally likely, and whether the user has not met it."""
        items = self.rng.integers(self.n_items, size=len(users))
        pairs = users * self.n_items + items
        fair = ~self._taken[pairs % len(self._taken)]
        unsure = pairs[~fair]
        places = np.minimum(np.searchsorted(self._met, unsure), len(self._met) - 1)
        fair[~fair] = self._met[places] != unsure
        return items, fair

    def step(
        self, users: np.ndarray, items: np.ndarray, slopes: np.ndarray, lr: float, decay: float
    ) -> None:
        """Move what the pairs touch down the gradient of the loss plus an L2 penalty a pair.

        AdaGrad with one running sum of squares a row: ``s <- s + mean(g^2)``, then
        ``theta <- theta - lr g / sqrt(s)``. Rows that no pair touches do not move.
        """
        rows, row = _compact(users, len(self.u))
        columns, column = _compact(items, len(self.v))
        shape = (len(rows), len(columns))
        d = sparse.coo_array((slopes, (row, column)), shape=shape)
        u, v, b = self.u[rows], self.v[columns], self.b[columns]  # old values, for all three
        often_u = decay * np.bincount(row)[:, None].astype(np.float32)
        often_v = decay * np.bincount(column)[:, None].astype(np.float32)
        ones = np.ones((len(rows), 1), dtype=np.float32)
        gradients = (d @ v + often_u * u, d.T @ u + often_v * v, d.T @ ones + often_v * b)
        moves = zip(
            (self.u, self.v, self.b),
            self._squares,
            (rows, columns, columns),
            gradients,
            strict=True,
        )
        for theta, squares, touched, g in moves:
            squares[touched] += np.einsum("rf,rf->r", g, g) / g.shape[1]
            theta[touched] -= lr * g / np.sqrt(squares[touched] + 1e-10)[:, None]


def _compact(places: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """As ``np.unique(places, return_inverse=True)`` of places below n, without a sort."""
    used = np.zeros(n, dtype=bool)
    used[places] = True
    return np.flatnonzero(used), (np.cumsum(used) - 1)[places]


@dataclass(eq=False, repr=False)
class SampledFactors(Recommender):
    """What BPR, WARP and LogisticMF share; a subclass gives the slopes of its loss.

    Asked about a history, none of them uses the factors of a training user. Learning ends with an
    *encoder*: the linear map W from what a history holds to the factors that training found for
    such histories, ``u ~ [sum v_i / sqrt(n), sum v_i / n, 1] W`` over the n items, by ridge
    regression over the training users. So histories of new users need no gradient steps. Nothing
    is known of an empty history, and the biases b, learnt popularity, answer.
    """

    factors: int = 64
    lr: float = 0.2
    regularization: float = 0.005
    epochs: int = 15
    batch_size: int = 8192
    decay: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.factors = check_whole("factors", self.factors)
        check_in_range("lr", self.lr, 0, open_low=True)
        check_in_range("regularization", self.regularization, 0)
        self.epochs = check_whole("epochs", self.epochs)
        self.batch_size = check_whole("batch_size", self.batch_size)
        check_in_range("decay", self.decay, 0, 1, open_low=True)

    @abstractmethod
    def _slopes(
        self, model: Sampler, users: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Draw negatives for pairs that met, and differentiate.

        Returns:
            users, items and slopes ``dL/ds`` of all pairs that matter, and the loss, summed.
        """

    def _fit(self, train: Interactions, *, progress: bool = True, **extras: Any) -> None:
        met = train.matrix()
        model = Sampler(met, self.factors, np.random.default_rng(self.seed))
        pairs = met.nnz
        # Small data get smaller batches, so that an epoch is at least some fifty steps.
        size = min(self.batch_size, max(32, pairs // 50))
        first = None
        for epoch in tqdm(range(self.epochs), self.name, disable=not progress, leave=False):
            order = model.rng.permutation(pairs)
            total = 0.0
            for start in range(0, pairs, size):
                batch = np.sort(order[start : start + size])  # by user: kinder to the cache
                *moved, loss = self._slopes(model, model.users[batch], model.items[batch])
                model.step(*moved, self.lr, self.regularization)
                total += loss
                first = loss / len(batch) if first is None else first
            if not total / pairs <= 10 * first + 1:  # NaN is not
                raise DivergenceError(
                    f"{self.name} diverged: the mean loss went from {first:.4g} to "
                    f"{total / pairs:.4g} in epoch {epoch + 1} with lr={self.lr:g}. Lower the "
                    f"learning rate (try {self.lr / 10:g})"
                )
        known = self.popularity_ > 0
        model.v[~known] = 0  # items never met: only chance has moved them
        model.b[~known] = model.b.min()
        self.item_factors_, self.item_biases_ = model.v, model.b[:, 0]
        self.user_factors_ = model.u
        self.encoder_ = self._encoder(train.histories(), model.u)

    def _encoder(self, histories: Histories, u: np.ndarray) -> np.ndarray:
        """``(2 factors + 1, factors)``: the ridge regression of u on what histories hold."""
        x = self._pooled(histories.matrix(), histories)
        x, u = x[histories.lengths > 0], u[histories.lengths > 0]
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += 1e-3 * np.trace(gram) / len(gram) + 1e-12
        return np.linalg.solve(gram, x.T @ u).astype(np.float32)

    def _pooled(self, weights: sparse.csr_array, histories: Histories) -> np.ndarray:
        """``(n, 2 factors + 1)``: weighted sum over the root of n, weighted mean, one."""
        total = weights @ self.item_factors_.astype(np.float64)
        mass = np.maximum(weights.sum(axis=1), 1e-12)[:, None]
        count = np.sqrt(np.maximum(np.diff(weights.indptr), 1))[:, None]
        filled = (histories.lengths > 0).astype(np.float64)[:, None]
        return np.hstack([total / mass * count, total / mass, filled])

    def fold_in(self, histories: Histories) -> np.ndarray:
        """The factors that the encoder gives these histories.

        Returns:
            ``(n, factors)``; 0 for an empty history.
        """
        self._require_fitted()
        self._require_same_catalogue(histories.item_ids)
        weights = histories.matrix(recency_weights(histories, self.decay))
        return self._pooled(weights, histories) @ self.encoder_

    def _score(self, histories: Histories) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors_.T + self.item_biases_

    def _similarity(self, place: int) -> np.ndarray:
        v = self.item_factors_
        lengths = np.linalg.norm(v, axis=1)
        return (v @ v[place]) / np.maximum(lengths * lengths[place], 1e-30)
