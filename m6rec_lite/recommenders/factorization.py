"""Explicit matrix factorization: predict ratings from a mean, two biases and two vectors.

    r_hat_ui = mu + b_u + c_i + u_u . v_i

The loss, its notation and its gradient are in ``rating_loss``. Source: Koren, Bell and
Volinsky, *Matrix factorization techniques for recommender systems*, 2009, equation 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from m6rec_lite.data.ids import Id, as_ids, find_ids
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.nn import optim
from m6rec_lite.recommenders.base import check_interactions
from m6rec_lite.recommenders.least_squares import solve_exact
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.predictors import Predictor
from m6rec_lite.recommenders.rating_loss import rating_objective

OPTIMIZERS: dict[str, type[optim.Optimizer]] = {
    kind.__name__: kind
    for kind in (
        optim.SGD,
        optim.Momentum,
        optim.Nesterov,
        optim.AdaGrad,
        optim.RMSProp,
        optim.Adam,
        optim.AdamW,
    )
}


@dataclass(eq=False)
class ExplicitMF(Predictor):
    """Predict ratings; the training targets are ``Interactions.values``.

    The model is not a recommender: the item that a user would rate highest is often not the item
    that the user chooses next.

    Args:
        factors: length of the vectors u and v; may exceed the number of items.
        method: ``"als"``: alternate ridge regressions of all users and of all items (Zhou et al.,
            2008); ``"sgd"``: gradient steps on random batches; ``"gradient"``: gradient steps on
            all ratings.
        regularization: lambda, above 0.
        epochs: number of ALS rounds, or of passes over the ratings.
        lr: learning rate of ``"sgd"`` and ``"gradient"``, whose gradients are sums over ratings.
            None uses a default for ``"sgd"``: 0.01 with SGD, 0.1 with AdaGrad, 0.005 otherwise.
            ``"gradient"`` with SGD needs about 0.001.
        optimizer: optimizer of ``"sgd"`` and ``"gradient"``, a key of ``OPTIMIZERS``.
        batch_size: ratings per step of ``"sgd"``.
        seed: seed of the initial factors and of the order of the ratings.

    Attributes:
        user_ids_: ``(n_users,)`` training ids, ascending.
        item_ids_: ``(n_items,)`` training ids, ascending.
        mean_: mu, the mean of the training ratings.
        user_biases_: ``(n_users,)``, b; 0 for users without a rating.
        item_biases_: ``(n_items,)``, c.
        user_factors_: ``(n_users, factors)``, U; 0 for users without a rating.
        item_factors_: ``(n_items, factors)``, V.
        losses_: ``(epochs + 1,)`` losses, before the first epoch and after each epoch.
    """

    factors: int = 32
    method: Literal["als", "sgd", "gradient"] = "als"
    regularization: float = 0.12
    epochs: int = 20
    lr: float | None = None
    optimizer: str = "SGD"
    batch_size: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        self.factors = check_whole("factors", self.factors)
        if self.method not in ("als", "sgd", "gradient"):
            raise ValueError(f"method must be 'als', 'sgd' or 'gradient', got {self.method!r}")
        check_in_range("regularization", self.regularization, 0, open_low=True)
        self.epochs = check_whole("epochs", self.epochs)
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {list(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.lr is None:
            self.lr = {"SGD": 0.01, "AdaGrad": 0.1}.get(self.optimizer, 0.005)
        check_in_range("lr", self.lr, 0, open_low=True)
        self.batch_size = check_whole("batch_size", self.batch_size)

    def fit(self, train: Interactions, *, progress: bool = True) -> Self:
        """Fit the model to the ratings in ``train.values``.

        Raises:
            DataError: if ``train`` is not ``Interactions`` or has no rows, or a rating is not a
                finite number.
            DivergenceError: if the learning rate is too large.
        """
        check_interactions(train, "fit(train)")
        if len(train) == 0:
            raise DataError("train has no rows: there is nothing to learn from")
        ratings = _checked(train.values, "train.values")
        rng = np.random.default_rng(self.seed)
        self.user_ids_, self.item_ids_ = train.user_ids, train.item_ids
        self.mean_ = float(ratings.mean())
        self.low_, self.high_ = float(ratings.min()), float(ratings.max())
        parameters = [
            np.zeros(train.n_users),
            np.zeros(train.n_items),
            0.1 * rng.standard_normal((train.n_users, self.factors)),
            0.1 * rng.standard_normal((train.n_items, self.factors)),
        ]
        self.user_biases_, self.item_biases_, self.user_factors_, self.item_factors_ = parameters
        rows = (train.users, train.items, ratings)
        objective = rating_objective(*rows, self.mean_, self.regularization)
        if self.method == "als":
            run_epoch = self._als(*rows, parameters)
        else:
            size = self.batch_size if self.method == "sgd" else len(ratings)
            run_epoch = self._descend(*rows, parameters, size, rng)
        losses = [objective(*parameters)[0]]
        rounds = tqdm(range(self.epochs), "ExplicitMF", disable=not progress, leave=False, delay=1)
        for t in rounds:
            run_epoch()
            losses.append(objective(*parameters)[0])
            if not losses[-1] <= 10 * losses[0]:
                raise optim.DivergenceError(
                    f"ExplicitMF diverged: the loss went from {losses[0]:.4g} to {losses[-1]:.4g} "
                    f"in epoch {t + 1} with method={self.method!r}, lr={self._lr:g}. Lower the "
                    f"learning rate (try {self._lr / 10:g})"
                )
        self.losses_ = np.array(losses)
        for indices, n, fitted in (
            (train.users, train.n_users, (self.user_biases_, self.user_factors_)),
            (train.items, train.n_items, (self.item_biases_, self.item_factors_)),
        ):
            unrated = np.bincount(indices, minlength=n) == 0
            for theta in fitted:
                theta[unrated] = 0  # instead of the random initial values
        return self

    @property
    def _lr(self) -> float:
        """``lr``, which the constructor has set if it was None."""
        assert self.lr is not None
        return self.lr

    def _descend(
        self,
        users: np.ndarray,
        items: np.ndarray,
        ratings: np.ndarray,
        parameters: list[np.ndarray],
        size: int,
        rng: np.random.Generator,
    ) -> Callable[[], None]:
        """Return a function that runs an epoch of optimizer steps on ``size`` random ratings."""
        optimizer = OPTIMIZERS[self.optimizer](parameters, lr=self._lr)

        def run_epoch() -> None:
            order = rng.permutation(len(ratings))
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                rows = (users[batch], items[batch], ratings[batch])
                objective = rating_objective(*rows, self.mean_, self.regularization)
                optimizer.step(objective(*parameters)[1])

        return run_epoch

    def _als(
        self,
        users: np.ndarray,
        items: np.ndarray,
        ratings: np.ndarray,
        parameters: list[np.ndarray],
    ) -> Callable[[], None]:
        """Return a function that fits all users with the items fixed, then all items."""
        b, c, u, v = parameters
        by_user = _by_row(users, items, (len(b), len(c)))
        by_item = _by_row(items, users, (len(c), len(b)))
        residual = ratings - self.mean_

        def run_epoch() -> None:
            b[:], u[:] = self._ridge(by_user, residual, c, v)
            c[:], v[:] = self._ridge(by_item, residual, b, u)

        return run_epoch

    def _ridge(
        self, rows: sparse.csr_array, residual: np.ndarray, bias: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit the bias and vector of each row to those of the columns, by regression on [1, y].

        ``rows.data`` are indices into ``residual``, so that repeated ratings of a pair all count.
        """
        features = np.hstack([np.ones((len(y), 1)), y])  # (columns, 1 + factors)
        target = residual[rows.data] - bias[rows.indices]
        ones = sparse.csr_array((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
        ridge = self.regularization * np.diff(rows.indptr)
        solved = solve_exact(ones, target, features, np.zeros((features.shape[1],) * 2), ridge)
        return solved[:, 0], solved[:, 1:]

    def predict(
        self,
        user_ids: Sequence[Id] | np.ndarray,
        item_ids: Sequence[Id] | np.ndarray,
        *,
        unknown: Literal["raise", "mean"] = "raise",
    ) -> np.ndarray:
        """Predict the ratings of pairs, clipped to the range of the training ratings.

        Args:
            user_ids: ``(n,)`` users of the pairs.
            item_ids: ``(n,)`` items of the pairs.
            unknown: how to treat ids that are not in the training data: ``"raise"`` an error, or
                ``"mean"``: use a bias and a vector of 0.

        Returns:
            ``(n,)`` float64.

        Raises:
            DataError: if an id is unknown and ``unknown`` is ``"raise"``.
            NotFittedError: before ``fit``.
        """
        self._require_fitted()
        if unknown not in ("raise", "mean"):
            raise ValueError(f"unknown must be 'raise' or 'mean', got {unknown!r}")
        user, item = self._index("user", user_ids, unknown), self._index("item", item_ids, unknown)
        if len(user) != len(item):
            raise ValueError(f"{len(user)} user_ids for {len(item)} item_ids; give pairs")
        # Index -1, an unknown id, reads the row of zeros that is appended here.
        b, c = np.append(self.user_biases_, 0.0), np.append(self.item_biases_, 0.0)
        zeros = np.zeros((1, self.factors))
        u = np.vstack([self.user_factors_, zeros])[user]
        v = np.vstack([self.item_factors_, zeros])[item]
        raw = self.mean_ + b[user] + c[item] + np.einsum("nf,nf->n", u, v)
        return np.clip(raw, self.low_, self.high_)

    def predict_new_user(
        self,
        rated_ids: Sequence[Id] | np.ndarray,
        ratings: Sequence[float] | np.ndarray,
        item_ids: Sequence[Id] | np.ndarray,
    ) -> np.ndarray:
        """Predict the ratings of a user who is not in the training data, by fold-in.

        The bias and the vector of the user come from one ridge regression on the user's ratings,
        with the items fixed. Without ratings the prediction is ``mu + c_i``.

        Args:
            rated_ids: ``(m,)`` items that the user rated; m may be 0.
            ratings: ``(m,)`` the ratings of these items.
            item_ids: ``(n,)`` items to predict.

        Returns:
            ``(n,)`` float64.

        Raises:
            DataError: if an item is unknown, or a rating is not a finite number.
        """
        self._require_fitted()
        ratings = _checked(ratings, "ratings")
        rated = self._index("item", rated_ids, "raise")
        items = self._index("item", item_ids, "raise")
        if len(rated) != len(ratings):
            raise ValueError(f"{len(rated)} rated_ids for {len(ratings)} ratings; give pairs")
        row = _by_row(np.zeros(len(rated), dtype=np.int64), rated, (1, len(self.item_ids_)))
        residual = ratings - self.mean_
        b, u = self._ridge(row, residual, self.item_biases_, self.item_factors_)
        raw = self.mean_ + b[0] + self.item_biases_[items] + self.item_factors_[items] @ u[0]
        return np.clip(raw, self.low_, self.high_)

    def rmse(self, rows: Interactions) -> float:
        """Compute the root mean squared error of ``predict(..., unknown="mean")``.

        Raises:
            DataError: if there are no rows, or a rating is not a finite number.
        """
        if len(rows) == 0:
            raise DataError("there are no ratings to compare with")
        ratings = _checked(rows.values, "rows.values")
        ids = rows.user_ids[rows.users], rows.item_ids[rows.items]
        return float(np.sqrt(np.mean((ratings - self.predict(*ids, unknown="mean")) ** 2)))

    def _index(self, kind: str, ids: Sequence[Id] | np.ndarray, unknown: str) -> np.ndarray:
        """Return the index of each user or item; -1 if unknown and ``unknown`` is ``"mean"``."""
        known = self.user_ids_ if kind == "user" else self.item_ids_
        ids = as_ids(ids, f"{kind}_id")
        indices, is_known = find_ids(ids, known, f"{kind}_id")
        if not is_known.all() and unknown == "raise":
            remedy = "predict_new_user" if kind == "user" else "fit on data that has it"
            raise DataError(
                f"unknown {kind} {np.unique(ids[~is_known])[:5].tolist()}: not among the "
                f"{len(known)} fitted on. The model has no parameters of a {kind} without ratings; "
                f"pass unknown='mean' to fall back on averages, or use {remedy}"
            )
        return np.where(is_known, indices, -1)


def _by_row(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Group entries by row; ``data`` holds the index of each entry. Repeats stay separate."""
    order = np.argsort(rows, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=shape[0]))))
    return sparse.csr_array((order, columns[order], starts), shape=shape)


def _checked(ratings: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    """Return the ratings as float64; raise ``DataError`` unless all are finite."""
    ratings = np.asarray(ratings, dtype=np.float64)
    invalid = np.flatnonzero(~np.isfinite(ratings))
    if len(invalid):
        raise DataError(
            f"{name}: {len(invalid)} of {len(ratings)} ratings are not finite numbers, the first "
            f"at row {invalid[0]} ({ratings[invalid[0]]}); leave those rows out"
        )
    return ratings
