"""Factorization machines: matrix factorization with arbitrary features beside the two ids.

    y_hat = w0 + sum_k w_k x_k + sum over pairs k < l of (v_k . v_l) x_k x_l

With one-hot columns of users and items only, this is the formula of ``ExplicitMF``; every further
column (genre, age, month) has its own bias and vector, and interacts with all other columns. The
sum over pairs is computed in linear time as
``1/2 sum_f [(sum_k v_kf x_k)^2 - sum_k v_kf^2 x_k^2]``.
Source: Rendle, *Factorization machines*, 2010, equations 1 and 5 and lemma 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit
from tqdm.auto import tqdm

from m6rec_lite.data.tables import DataError
from m6rec_lite.nn.optim import Adam, DivergenceError, Objective
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.predictors import Predictor


class OneHot(Predictor):
    """Encode table columns as one-hot features; each element of a list gets ``1 / length``.

    Values that do not occur in ``fit`` have no feature.

    Args:
        columns: names of the columns to encode.

    Attributes:
        values_: the sorted values of each column.
    """

    fit_call: ClassVar[str] = "fit(table)"

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = [columns] if isinstance(columns, str) else list(columns)
        if not self.columns:
            raise ValueError("columns is empty: name at least one")

    def fit(self, table: pd.DataFrame) -> Self:
        """Collect the values of each column.

        Raises:
            DataError: if a column is missing.
        """
        self.values_ = [
            pd.Index(pd.unique(self._long(table, column)[1])).sort_values()
            for column in self.columns
        ]
        return self

    @property
    def names(self) -> list[str]:
        """Names of the features, such as ``gender=F``."""
        self._require_fitted()
        pairs = zip(self.columns, self.values_, strict=True)
        return [f"{column}={value}" for column, values in pairs for value in values]

    def transform(self, table: pd.DataFrame) -> sparse.csr_array:
        """Return the ``(rows, n_features)`` float64 matrix of features.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if a column is missing.
        """
        self._require_fitted()
        parts = []
        for column, values in zip(self.columns, self.values_, strict=True):
            rows, members, shares = self._long(table, column)
            index = values.get_indexer(members)
            known = index >= 0
            entries = (shares[known], (rows[known], index[known]))
            parts.append(sparse.coo_array(entries, shape=(len(table), len(values))))
        return sparse.hstack(parts).tocsr()

    def _state(self) -> dict[str, Any]:
        state = {}
        for i, values in enumerate(getattr(self, "values_", ())):
            array = np.array(list(values))
            if len({type(value) for value in values}) > 1 or array.dtype.kind not in "biufU":
                raise TypeError(
                    f"the values of column {self.columns[i]!r} are neither all text nor all "
                    "numbers, and cannot be written to disk; make them text first"
                )
            state[f"values_{i}"] = array
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        arrays = (state[f"values_{i}"] for i in range(len(self.columns)))
        self.values_ = [pd.Index(array.tolist(), dtype=object) for array in arrays]

    def _long(self, table: pd.DataFrame, column: str) -> tuple[np.ndarray, pd.Index, np.ndarray]:
        """Return row, value and share of each element; missing values and empty lists have none."""
        if column not in table:
            raise DataError(f"no column {column!r} among {list(table.columns)}")
        cells = pd.Series(table[column].to_numpy(), dtype=object)
        lengths = cells.map(lambda cell: len(cell) if isinstance(cell, (list, tuple)) else 1)
        long = cells.explode()
        present = long.notna().to_numpy()
        rows = long.index.to_numpy()[present]
        return rows, pd.Index(long[present]), 1.0 / lengths.to_numpy()[rows]


def machine_objective(
    x: sparse.csr_array,
    targets: np.ndarray,
    regularization: float,
    task: Literal["regression", "classification"],
) -> Objective:
    """Return the loss of a set of rows, with its gradients, as a function of the parameters.

    The loss is half the squared error, or the log loss of ``sigmoid(y_hat)``, summed over rows,
    plus ``regularization / 2 (w_k^2 + |v_k|^2)`` for each row in which column k is not 0.

    Args:
        x: ``(n, n_features)`` features.
        targets: ``(n,)`` numbers, or 0 and 1 for classification.
        regularization: strength of the L2 penalty.
        task: ``"regression"`` or ``"classification"``.

    Returns:
        ``objective(w0, w, V) -> (loss, [dw0, dw, dV])``.
    """
    squared = x.multiply(x).tocsr()
    penalty = regularization * np.bincount(x.indices, minlength=x.shape[1])

    def objective(w0: np.ndarray, w: np.ndarray, v: np.ndarray) -> tuple[float, list[np.ndarray]]:
        with np.errstate(over="ignore", invalid="ignore"):
            y, sums = _output(x, squared, w0, w, v)
            if task == "regression":
                loss, slope = 0.5 * ((y - targets) ** 2).sum(), y - targets
            else:
                loss, slope = (np.logaddexp(0, y) - targets * y).sum(), expit(y) - targets
            loss += 0.5 * float(penalty @ (w**2 + (v**2).sum(axis=1)))
            weighted = slope[:, None] * sums  # (n, factors)
            dv = x.T @ weighted - (squared.T @ slope)[:, None] * v + penalty[:, None] * v
            return float(loss), [slope.sum(keepdims=True), x.T @ slope + penalty * w, dv]

    return objective


def _output(
    x: sparse.csr_array, squared: sparse.csr_array, w0: np.ndarray, w: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(n,)`` y_hat before any sigmoid, and ``(n, factors)`` sums ``sum_k v_kf x_k``."""
    sums = x @ v
    pairs = 0.5 * ((sums**2).sum(axis=1) - squared @ (v**2).sum(axis=1))
    return w0[0] + x @ w + pairs, sums


@dataclass(eq=False)
class FactorizationMachine(Predictor):
    """Predict a number or a probability from sparse features; trained with Adam.

    Args:
        factors: length of the vectors v.
        task: ``"regression"`` (squared error) or ``"classification"`` (log loss, targets 0 and 1).
        regularization: L2 penalty on w and V, applied once per row that has the column.
        epochs: passes over the rows.
        lr: learning rate of Adam.
        batch_size: rows per step.
        seed: seed of the initial vectors and of the order of the rows.

    Attributes:
        w0_: ``(1,)`` intercept.
        w_: ``(n_features,)`` weights; 0 for columns without an entry in training.
        v_: ``(n_features, factors)`` vectors; 0 for columns without an entry in training.
    """

    fit_call: ClassVar[str] = "fit(x, targets)"

    factors: int = 16
    task: Literal["regression", "classification"] = "regression"
    regularization: float = 0.1
    epochs: int = 15
    lr: float = 0.005
    batch_size: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        self.factors = check_whole("factors", self.factors)
        if self.task not in ("regression", "classification"):
            raise ValueError(f"task must be 'regression' or 'classification', got {self.task!r}")
        check_in_range("regularization", self.regularization, 0)
        self.epochs = check_whole("epochs", self.epochs)
        check_in_range("lr", self.lr, 0, open_low=True)
        self.batch_size = check_whole("batch_size", self.batch_size)

    def fit(self, x: sparse.csr_array, targets: np.ndarray, *, progress: bool = True) -> Self:
        """Fit the model to ``(n, n_features)`` features and ``(n,)`` targets.

        Raises:
            DataError: if there are no rows, lengths differ, or a value is not finite; for
                classification, if a target is neither 0 nor 1.
            DivergenceError: if the learning rate is too large.
        """
        x, targets = self._checked(x, targets)
        rng = np.random.default_rng(self.seed)
        n, width = x.shape
        parameters = [
            np.zeros(1),
            np.zeros(width),
            0.05 * rng.standard_normal((width, self.factors)),
        ]
        mean = targets.mean()
        if self.task == "classification":
            mean = np.clip(mean, 0.01, 0.99)
            parameters[0][:] = np.log(mean / (1 - mean))
        else:
            parameters[0][:] = mean
        objective = machine_objective(x, targets, self.regularization, self.task)
        optimizer, first = Adam(parameters, lr=self.lr), objective(*parameters)[0]
        rounds = tqdm(
            range(self.epochs), "FactorizationMachine", disable=not progress, leave=False, delay=1
        )
        for epoch in rounds:
            order = rng.permutation(n)
            for start in range(0, n, self.batch_size):
                rows = order[start : start + self.batch_size]
                batch = machine_objective(x[rows], targets[rows], self.regularization, self.task)
                optimizer.step(batch(*parameters)[1])
            loss = objective(*parameters)[0]
            if not loss <= 10 * first + 1:
                raise DivergenceError(
                    f"FactorizationMachine diverged: the loss went from {first:.4g} to {loss:.4g} "
                    f"in epoch {epoch + 1} with lr={self.lr:g}. Lower the learning rate (try "
                    f"{self.lr / 10:g})"
                )
        unused = np.bincount(x.indices, minlength=width) == 0
        self.w0_, self.w_, self.v_ = parameters
        self.w_[unused], self.v_[unused] = 0, 0  # instead of the random initial values
        return self

    def predict(self, x: sparse.csr_array) -> np.ndarray:
        """Return ``(n,)`` predictions: numbers, or probabilities for classification.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the number of columns differs from that in ``fit``.
        """
        self._require_fitted()
        x = sparse.csr_array(x, dtype=np.float64)
        if x.shape[1] != len(self.w_):
            raise DataError(f"x has {x.shape[1]} columns; the machine was fitted on {len(self.w_)}")
        y, _ = _output(x, x.multiply(x).tocsr(), self.w0_, self.w_, self.v_)
        return expit(y) if self.task == "classification" else y

    def _checked(
        self, x: sparse.csr_array, targets: np.ndarray
    ) -> tuple[sparse.csr_array, np.ndarray]:
        x = sparse.csr_array(x, dtype=np.float64)
        targets = np.asarray(targets, dtype=np.float64)
        if x.shape[0] == 0 or targets.shape != (x.shape[0],):
            raise DataError(f"x has {x.shape[0]} rows and targets the shape {targets.shape}; give "
                            "one target a row, and at least one row")  # fmt: skip
        if not (np.isfinite(x.data).all() and np.isfinite(targets).all()):
            raise DataError("x or targets hold values that are not finite; leave those rows out")
        if self.task == "classification" and not np.isin(targets, (0, 1)).all():
            invalid = np.unique(targets[~np.isin(targets, (0, 1))])[:5].tolist()
            raise DataError(f"targets of a classification are 0 and 1, got {invalid}")
        return x, targets
