"""Training of BPR, WARP and logistic matrix factorization, which differ in their loss only.

All three score ``s_ui = u . v_i + b_i``, draw negatives j (items that the user does not have), and
minimise a loss of the scores by gradient steps. Notation: U ``(n_users, factors)``,
V ``(n_items, factors)`` and b ``(n_items,)`` are the parameters; D is the user-item matrix whose
entry ``D_ui`` is the derivative of the loss with respect to ``s_ui`` (0 for pairs outside the
sample). Then

    dL/dU = D V,    dL/dV = D' U,    dL/db = column sums of D.
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
from m6rec_lite.recommenders.ranking import cosine_to


class Sampler:
    """The parameters during training, with methods to score pairs, draw negatives and step.

    Args:
        positives: ``(n_users, n_items)``, non-zero for each interaction.
        factors: length of the vectors u and v.
        rng: generator of the initial values and of the negatives.
    """

    def __init__(self, positives: sparse.csr_array, factors: int, rng: np.random.Generator) -> None:
        n_users, self.n_items = positives.shape
        self.rng = rng
        self.users = np.repeat(np.arange(n_users), np.diff(positives.indptr))  # (nnz,)
        self.items = positives.indices.astype(np.int64)
        self._keys = self.users * self.n_items + self.items  # one ascending number per pair
        # A hash table without collision handling: most negatives hit an empty slot and need no
        # binary search.
        self._hashed = np.zeros(8 * len(self._keys) + 1, dtype=bool)
        self._hashed[self._keys % len(self._hashed)] = True
        scale = 0.1 / np.sqrt(factors)
        self.u = (scale * rng.standard_normal((n_users, factors))).astype(np.float32)
        self.v = (scale * rng.standard_normal((self.n_items, factors))).astype(np.float32)
        self.b = np.zeros((self.n_items, 1), dtype=np.float32)
        self._squares = [np.zeros(len(theta), np.float32) for theta in (self.u, self.v, self.b)]

    def score(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the ``(n,)`` scores of pairs."""
        return np.einsum("nf,nf->n", self.u[users], self.v[items]) + self.b[items, 0]

    def draw(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw an item for each user, uniformly; also return whether it is a negative."""
        items = self.rng.integers(self.n_items, size=len(users))
        keys = users * self.n_items + items
        is_negative = ~self._hashed[keys % len(self._hashed)]
        unsure = keys[~is_negative]
        indices = np.minimum(np.searchsorted(self._keys, unsure), len(self._keys) - 1)
        is_negative[~is_negative] = self._keys[indices] != unsure
        return items, is_negative

    def step(
        self, users: np.ndarray, items: np.ndarray, slopes: np.ndarray, lr: float, decay: float
    ) -> None:
        """Take an AdaGrad step on the loss of a batch plus an L2 penalty for each pair.

        AdaGrad keeps one running sum of squares per row: ``s <- s + mean(g^2)``, then
        ``theta <- theta - lr g / sqrt(s)``. Rows without a pair in the batch do not change.

        Args:
            users: ``(n,)`` users of the pairs.
            items: ``(n,)`` items of the pairs.
            slopes: ``(n,)`` derivatives of the loss with respect to the scores.
            lr: learning rate.
            decay: strength of the L2 penalty.
        """
        rows, row = _compact(users, len(self.u))
        columns, column = _compact(items, len(self.v))
        shape = (len(rows), len(columns))
        d = sparse.coo_array((slopes, (row, column)), shape=shape)
        u, v, b = self.u[rows], self.v[columns], self.b[columns]  # old values, for all three
        penalty_u = decay * np.bincount(row)[:, None].astype(np.float32)
        penalty_v = decay * np.bincount(column)[:, None].astype(np.float32)
        ones = np.ones((len(rows), 1), dtype=np.float32)
        gradients = (d @ v + penalty_u * u, d.T @ u + penalty_v * v, d.T @ ones + penalty_v * b)
        updates = zip(
            (self.u, self.v, self.b),
            self._squares,
            (rows, columns, columns),
            gradients,
            strict=True,
        )
        for theta, squares, index, g in updates:
            squares[index] += np.einsum("rf,rf->r", g, g) / g.shape[1]
            theta[index] -= lr * g / np.sqrt(squares[index] + 1e-10)[:, None]


def _compact(indices: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute ``np.unique(indices, return_inverse=True)`` of indices below n, without a sort."""
    used = np.zeros(n, dtype=bool)
    used[indices] = True
    return np.flatnonzero(used), (np.cumsum(used) - 1)[indices]


@dataclass(eq=False, repr=False)
class SampledFactors(Recommender):
    """Base of BPR, WARP and LogisticMF; a subclass implements the derivative of its loss.

    A history is scored without the factors of a training user, by an *encoder*: the linear map W
    from the n items of a history to user factors, ``u ~ [sum v_i / sqrt(n), sum v_i / n, 1] W``,
    fitted by ridge regression on the training users. New users need no gradient steps. The scores
    of an empty history are the biases b.
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
        """Draw negatives for training pairs, and differentiate the loss.

        Returns:
            Users, items and derivatives ``dL/ds`` of the sampled pairs, and the sum of the loss.
        """

    def _fit(self, train: Interactions, *, progress: bool = True, **extras: Any) -> None:
        positives = train.matrix()
        model = Sampler(positives, self.factors, np.random.default_rng(self.seed))
        pairs = positives.nnz
        # Small data sets get smaller batches, so that an epoch has at least about fifty steps.
        size = min(self.batch_size, max(32, pairs // 50))
        first = np.inf  # mean loss of the first batch
        for epoch in tqdm(range(self.epochs), self.name, disable=not progress, leave=False):
            order = model.rng.permutation(pairs)
            total = 0.0
            for start in range(0, pairs, size):
                batch = np.sort(order[start : start + size])  # by user, for locality in memory
                users, items, slopes, loss = self._slopes(
                    model, model.users[batch], model.items[batch]
                )
                model.step(users, items, slopes, self.lr, self.regularization)
                total += loss
                if epoch == start == 0:
                    first = loss / len(batch)
            if not total / pairs <= 10 * first + 1:  # also true for NaN
                raise DivergenceError(
                    f"{self.name} diverged: the mean loss went from {first:.4g} to "
                    f"{total / pairs:.4g} in epoch {epoch + 1} with lr={self.lr:g}. Lower the "
                    f"learning rate (try {self.lr / 10:g})"
                )
        unseen = self.popularity_ == 0
        model.v[unseen] = 0  # these vectors were trained as negatives only
        model.b[unseen] = model.b.min()
        self.item_factors_, self.item_biases_ = model.v, model.b[:, 0]
        self.user_factors_ = model.u
        self.encoder_ = self._encoder(train.histories(), model.u)

    def _encoder(self, histories: Histories, u: np.ndarray) -> np.ndarray:
        """Fit the ``(2 * factors + 1, factors)`` encoder of histories by ridge regression."""
        x = self._pooled(histories.matrix(), histories)
        x, u = x[histories.lengths > 0], u[histories.lengths > 0]
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += 1e-3 * np.trace(gram) / len(gram) + 1e-12
        return np.linalg.solve(gram, x.T @ u).astype(np.float32)

    def _pooled(self, weights: sparse.csr_array, histories: Histories) -> np.ndarray:
        """Compute the ``(n, 2 * factors + 1)`` features of histories for the encoder."""
        total = weights @ self.item_factors_.astype(np.float64)
        mass = np.maximum(weights.sum(axis=1), 1e-12)[:, None]
        count = np.sqrt(np.maximum(np.diff(weights.indptr), 1))[:, None]
        constant = (histories.lengths > 0).astype(np.float64)[:, None]
        return np.hstack([total / mass * count, total / mass, constant])

    def fold_in(self, histories: Histories) -> np.ndarray:
        """Compute the user factors of histories with the encoder.

        Returns:
            ``(n, factors)``; 0 for an empty history.
        """
        self._require_fitted()
        self._require_same_catalogue(histories.item_ids)
        weights = histories.matrix(recency_weights(histories, self.decay))
        return self._pooled(weights, histories) @ self.encoder_

    def _score(self, histories: Histories) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors_.T + self.item_biases_

    def _similarity(self, index: int) -> np.ndarray:
        return cosine_to(self.item_factors_, index)
