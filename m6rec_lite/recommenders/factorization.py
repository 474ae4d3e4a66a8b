"""Explicit matrix factorization: ratings from an average, two biases and two vectors.

    r_hat_ui = mu + b_u + c_i + u_u . v_i

What is minimised, its letters and its gradient are in ``rating_loss``. Source: Koren, Bell and
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
    """Predicts ratings; ``Interactions.values`` are what it learns from.

    It ranks nothing: what somebody rates and what they choose to watch next are two questions,
    and chapter 06 shows how badly an answer to the first serves the second.

    Args:
        factors: length of u and v; more than there are items is allowed.
        method: ``"als"``: ridge regressions for all users, then all items (Zhou et al., 2008);
            ``"sgd"``: small random batches; ``"gradient"``: the gradient of all ratings at once.
        regularization: lambda, above 0.
        epochs: rounds, or passes over the ratings.
        lr: learning rate of ``"sgd"`` and ``"gradient"``, whose gradients are sums over ratings;
            None for one that suits ``"sgd"`` with the optimizer: 0.01 for SGD, 0.1 for AdaGrad,
            else 0.005. ``"gradient"`` with SGD wants about 0.001.
        optimizer: of ``"sgd"`` and ``"gradient"``: a name of ``OPTIMIZERS``.
        batch_size: ratings a step of ``"sgd"``.
        seed: of the start and the order.

    Attributes:
        user_ids_: ``(n_users,)`` ids fitted on, ascending.
        item_ids_: ``(n_items,)`` ids fitted on, ascending.
        mean_: mu.
        user_biases_: ``(n_users,)``, b; 0 for users without a rating.
        item_biases_: ``(n_items,)``, c.
        user_factors_: ``(n_users, factors)``, U; 0 for users without a rating.
        item_factors_: ``(n_items, factors)``, V.
        losses_: ``(epochs + 1,)``: the loss before the first epoch and after each.
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
        """Learn from the ratings in ``train.values``.

        Raises:
            DataError: if there are none, or one is not a finite number; or ``train`` is not
                ``Interactions``.
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
        whole = rating_objective(*rows, self.mean_, self.regularization)
        if self.method == "als":
            run = self._als(*rows, parameters)
        else:
            size = self.batch_size if self.method == "sgd" else len(ratings)
            run = self._descend(*rows, parameters, size, rng)
        losses = [whole(*parameters)[0]]
        rounds = tqdm(range(self.epochs), "ExplicitMF", disable=not progress, leave=False, delay=1)
        for t in rounds:
            run()
            losses.append(whole(*parameters)[0])
            if not losses[-1] <= 10 * losses[0]:
                raise optim.DivergenceError(
                    f"ExplicitMF diverged: the loss went from {losses[0]:.4g} to {losses[-1]:.4g} "
                    f"in epoch {t + 1} with method={self.method!r}, lr={self.lr:g}. Lower the "
                    f"learning rate (try {self.lr / 10:g})"
                )
        self.losses_ = np.array(losses)
        for places, n, learnt in (
            (train.users, train.n_users, (self.user_biases_, self.user_factors_)),
            (train.items, train.n_items, (self.item_biases_, self.item_factors_)),
        ):
            never = np.bincount(places, minlength=n) == 0
            for theta in learnt:
                theta[never] = 0  # nothing is known: not the noise of the start
        return self

    def _descend(
        self,
        users: np.ndarray,
        items: np.ndarray,
        ratings: np.ndarray,
        parameters: list[np.ndarray],
        size: int,
        rng: np.random.Generator,
    ) -> Callable[[], None]:
        """An epoch of optimizer steps, each down the gradient of ``size`` random ratings."""
        optimizer = OPTIMIZERS[self.optimizer](parameters, lr=self.lr)

        def run() -> None:
            order = rng.permutation(len(ratings))
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                rows = (users[batch], items[batch], ratings[batch])
                part = rating_objective(*rows, self.mean_, self.regularization)
                optimizer.step(part(*parameters)[1])

        return run

    def _als(
        self,
        users: np.ndarray,
        items: np.ndarray,
        ratings: np.ndarray,
        parameters: list[np.ndarray],
    ) -> Callable[[], None]:
        """An epoch of ridge regressions: all users with the items fixed, then the other way."""
        b, c, u, v = parameters
        by_user = _by_row(users, items, (len(b), len(c)))
        by_item = _by_row(items, users, (len(c), len(b)))
        residual = ratings - self.mean_

        def run() -> None:
            b[:], u[:] = self._ridge(by_user, residual, c, v)
            c[:], v[:] = self._ridge(by_item, residual, b, u)

        return run

    def _ridge(
        self, rows: sparse.csr_array, residual: np.ndarray, bias: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bias and vector of each row given those of the columns: one regression on [1, y].

        ``rows.data`` are places in ``residual``, so that several ratings of a pair stay several.
        """
        known = np.hstack([np.ones((len(y), 1)), y])  # (columns, 1 + factors)
        target = residual[rows.data] - bias[rows.indices]
        ones = sparse.csr_array((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
        ridge = self.regularization * np.diff(rows.indptr)
        solved = solve_exact(ones, target, known, np.zeros((known.shape[1],) * 2), ridge)
        return solved[:, 0], solved[:, 1:]

    def predict(
        self,
        user_ids: Sequence[Id] | np.ndarray,
        item_ids: Sequence[Id] | np.ndarray,
        *,
        unknown: Literal["raise", "mean"] = "raise",
    ) -> np.ndarray:
        """Ratings of pairs, kept within the range of the training ratings.

        Args:
            user_ids: ``(n,)``.
            item_ids: ``(n,)``.
            unknown: what to do about ids that were not fitted on: ``"raise"``, or ``"mean"``: take
                their bias and vector as 0, so that a new user with a new item gets mu.

        Raises:
            DataError: if an id is unknown and ``unknown`` is ``"raise"``.
            NotFittedError: before ``fit``.
        """
        self._require_fitted()
        if unknown not in ("raise", "mean"):
            raise ValueError(f"unknown must be 'raise' or 'mean', got {unknown!r}")
        user, item = self._place("user", user_ids, unknown), self._place("item", item_ids, unknown)
        if len(user) != len(item):
            raise ValueError(f"{len(user)} user_ids for {len(item)} item_ids; give pairs")
        # Place -1, an unknown id, reads the row of zeros put at the end.
        b, c = np.append(self.user_biases_, 0.0), np.append(self.item_biases_, 0.0)
        nothing = np.zeros((1, self.factors))
        u = np.vstack([self.user_factors_, nothing])[user]
        v = np.vstack([self.item_factors_, nothing])[item]
        raw = self.mean_ + b[user] + c[item] + np.einsum("nf,nf->n", u, v)
        return np.clip(raw, self.low_, self.high_)

    def predict_new_user(
        self,
        rated_ids: Sequence[Id] | np.ndarray,
        ratings: Sequence[float] | np.ndarray,
        item_ids: Sequence[Id] | np.ndarray,
    ) -> np.ndarray:
        """Ratings that somebody outside the training data would give, by fold-in.

        Their bias and vector come from one ridge regression on what they rated, with the items
        fixed. Who rated nothing gets ``mu + c_i``: the item's average, shrunk.

        Args:
            rated_ids: ``(m,)`` items that the user rated; m may be 0.
            ratings: ``(m,)``.
            item_ids: ``(n,)`` items to predict.

        Raises:
            DataError: if an item is unknown, or a rating is not a finite number.
        """
        self._require_fitted()
        ratings = _checked(ratings, "ratings")
        rated = self._place("item", rated_ids, "raise")
        wanted = self._place("item", item_ids, "raise")
        if len(rated) != len(ratings):
            raise ValueError(f"{len(rated)} rated_ids for {len(ratings)} ratings; give pairs")
        row = _by_row(np.zeros(len(rated), dtype=np.int64), rated, (1, len(self.item_ids_)))
        residual = ratings - self.mean_
        b, u = self._ridge(row, residual, self.item_biases_, self.item_factors_)
        raw = self.mean_ + b[0] + self.item_biases_[wanted] + self.item_factors_[wanted] @ u[0]
        return np.clip(raw, self.low_, self.high_)

    def rmse(self, rows: Interactions) -> float:
        """Root mean squared error over ratings; unknown users and items count as in ``"mean"``.

        Raises:
            DataError: if there are no rows, or a rating is not a finite number.
        """
        if len(rows) == 0:
            raise DataError("there are no ratings to compare with")
        ratings = _checked(rows.values, "rows.values")
        ids = rows.user_ids[rows.users], rows.item_ids[rows.items]
        return float(np.sqrt(np.mean((ratings - self.predict(*ids, unknown="mean")) ** 2)))

    def _place(self, what: str, ids: Sequence[Id] | np.ndarray, unknown: str) -> np.ndarray:
        """Places of ids among those fitted on; -1 for unknown ones if that is allowed."""
        known = self.user_ids_ if what == "user" else self.item_ids_
        ids = as_ids(ids, f"{what}_id")
        places, there = find_ids(ids, known, f"{what}_id")
        strange = ~there
        if strange.any() and unknown == "raise":
            mend = "predict_new_user" if what == "user" else "fit on data that has it"
            raise DataError(
                f"unknown {what} {np.unique(ids[strange])[:5].tolist()}: not among the "
                f"{len(known)} fitted on. Nothing is known of a {what} without ratings; pass "
                f"unknown='mean' to fall back on averages, or use {mend}"
            )
        return np.where(strange, -1, places)


def _by_row(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Entries grouped by row; ``data`` says which entry it was. Repeats are kept apart."""
    order = np.argsort(rows, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=shape[0]))))
    return sparse.csr_array((order, columns[order], starts), shape=shape)


def _checked(ratings: Sequence[float] | np.ndarray, what: str) -> np.ndarray:
    """The ratings in float64; those that are not finite raise ``DataError``."""
    ratings = np.asarray(ratings, dtype=np.float64)
    odd = np.flatnonzero(~np.isfinite(ratings))
    if len(odd):
        raise DataError(
            f"{what}: {len(odd)} of {len(ratings)} ratings are not finite numbers, the first at "
            f"row {odd[0]} ({ratings[odd[0]]}); leave those rows out"
        )
    return ratings
