"""Click models on features: logistic regression and a factorization machine.

Both use the features of ``impressions.known_at``. Logistic regression is implemented here with
scipy's Newton method, since a lesson teaches its loss, gradient and Hessian; a test compares the
weights with those of scikit-learn.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, sparse
from scipy.special import expit

from m6rec_lite.ctr.base import ClickModel
from m6rec_lite.ctr.encoder import Encoder
from m6rec_lite.ctr.impressions import GROUPS, known_at
from m6rec_lite.data.tables import Dataset
from m6rec_lite.recommenders.factorization_machine import FactorizationMachine
from m6rec_lite.recommenders.params import check_in_range


def fit_logistic(
    x: sparse.csr_array, labels: np.ndarray, l2: float, *, max_steps: int = 100
) -> tuple[float, np.ndarray]:
    """Fit a logistic regression: find the intercept b and the weights w that minimise

        sum_n [log(1 + exp(s_n)) - y_n s_n] + l2/2 |w|^2,    s = x w + b.

    The intercept is not penalised. With p = sigmoid(s) the gradient is ``x'(p - y) + l2 w``, and
    the product of the Hessian and a vector v is ``x'(p (1 - p) x v) + l2 v``, as needed by a trust
    region Newton method (Lin, Weng and Keerthi, *Trust region Newton method for logistic
    regression*, 2008). The loss is convex; the solution equals scikit-learn's with ``C = 1 / l2``.

    Args:
        x: ``(n, n_features)`` features.
        labels: ``(n,)`` 0.0 and 1.0, both of which occur.
        l2: strength of the penalty, above 0, so that the weights are finite for separable labels.
        max_steps: maximum number of Newton steps; about ten are usual.

    Returns:
        b, and w ``(n_features,)``.

    Raises:
        RuntimeError: if the minimum is not reached in ``max_steps``.
    """
    n = len(labels)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        b, w = theta[0], theta[1:]
        s = x @ w + b
        slope = expit(s) - labels
        value = (np.logaddexp(0.0, s) - labels * s).sum() + 0.5 * l2 * (w @ w)
        return value / n, np.concatenate(([slope.sum()], x.T @ slope + l2 * w)) / n

    def hessian_product(theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        p = expit(x @ theta[1:] + theta[0])
        weighted = p * (1 - p) * (x @ v[1:] + v[0])
        return np.concatenate(([weighted.sum()], x.T @ weighted + l2 * v[1:])) / n

    start = np.zeros(x.shape[1] + 1)
    start[0] = np.log(labels.mean() / (1 - labels.mean()))
    solution = optimize.minimize(
        loss, start, jac=True, hessp=hessian_product, method="trust-ncg",
        options={"gtol": 1e-8, "maxiter": max_steps},
    )  # fmt: skip
    slope = np.abs(solution.jac).max()
    if slope > 1e-6:
        raise RuntimeError(
            f"logistic regression stopped after {solution.nit} steps at a gradient of {slope:.2g}; "
            f"raise max_steps, or l2 above {l2:g}"
        )
    return float(solution.x[0]), solution.x[1:]


class FeatureCTR(ClickModel):
    """Base of click models on the features of ``known_at``."""

    groups: Sequence[str]
    bins: int
    least: int

    @abstractmethod
    def _learn(self, x: sparse.csr_array, labels: np.ndarray, progress: bool) -> None:
        """Fit to ``(n, n_features)`` features and ``(n,)`` labels."""

    @abstractmethod
    def _probability(self, x: sparse.csr_array) -> np.ndarray:
        """Return ``(n,)`` probabilities."""

    def _check(self) -> None:
        self.groups = tuple(self.groups)
        Encoder(self.bins, self.least)  # checks both arguments

    def _fit(self, rows: pd.DataFrame, labels: np.ndarray, dataset: Dataset, **extras: Any) -> None:
        table = known_at(rows, dataset, groups=self.groups)
        encoder = Encoder(self.bins, self.least).fit(table)
        self._learn(encoder.transform(table), labels, bool(extras.get("progress")))
        self.encoder = encoder

    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        table = known_at(rows, dataset, groups=self.groups)
        return self._probability(self.encoder.transform(table))

    def _state(self) -> dict[str, Any]:
        inner = {f"encoder/{key}": value for key, value in self.encoder._state().items()}
        return super()._state() | inner

    def _restore(self, state: dict[str, Any]) -> None:
        inner = {
            k.removeprefix("encoder/"): v for k, v in state.items() if k.startswith("encoder/")
        }
        self.encoder = Encoder(self.bins, self.least)
        self.encoder._restore(inner)
        super()._restore({k: v for k, v in state.items() if not k.startswith("encoder/")})


@dataclass(eq=False)
class LogisticCTR(FeatureCTR):
    """Predict clicks by logistic regression on the features of ``known_at``.

    Source: Richardson, Dominowska and Ragno, *Predicting clicks*, 2007.

    Args:
        l2: strength of the penalty on the weights (see ``fit_logistic``).
        groups: feature groups, see ``known_at``.
        bins: number of quantile bins per numeric feature; 0 uses z-scores.
        least: minimum number of training rows of a category; rarer categories have no weight.
        label: see ``ClickModel``.

    Attributes:
        intercept_: intercept, the log odds if all features are 0.
        weights_: ``(n_features,)`` weights; see ``weights()`` for the names.
    """

    l2: float = 100.0
    groups: Sequence[str] = GROUPS
    bins: int = 10
    least: int = 5
    label: str = "clicked"

    def __post_init__(self) -> None:
        check_in_range("l2", self.l2, 0, open_low=True)
        self._check()

    def weights(self) -> pd.Series:
        """Return the weights by name of the feature, sorted by decreasing absolute value."""
        self._require_fitted()
        weights = pd.Series(self.weights_, index=self.encoder.names)
        return weights.iloc[np.argsort(-np.abs(self.weights_), kind="stable")]

    def _learn(self, x: sparse.csr_array, labels: np.ndarray, progress: bool) -> None:
        self.intercept_, self.weights_ = fit_logistic(x, labels, self.l2)

    def _probability(self, x: sparse.csr_array) -> np.ndarray:
        return expit(x @ self.weights_ + self.intercept_)


@dataclass(eq=False)
class FactorizationMachineCTR(FeatureCTR):
    """Predict clicks by a factorization machine on the features of ``known_at``.

    Args:
        factors: length of the vectors, see ``FactorizationMachine``.
        regularization: L2 penalty, see ``FactorizationMachine``.
        epochs: passes over the rows.
        lr: learning rate of Adam.
        batch_size: rows per step.
        groups: feature groups, see ``known_at``.
        bins: number of quantile bins per numeric feature; 0 uses z-scores.
        least: minimum number of training rows of a category; rarer categories have no weight.
        label: see ``ClickModel``.
        seed: seed of the initial vectors and of the order of the rows.
    """

    factors: int = 8
    regularization: float = 0.01
    epochs: int = 2
    lr: float = 0.002
    batch_size: int = 500
    groups: Sequence[str] = GROUPS
    bins: int = 10
    least: int = 5
    label: str = "clicked"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check()
        self._machine()  # checks the other arguments

    def _machine(self) -> FactorizationMachine:
        return FactorizationMachine(
            factors=self.factors,
            task="classification",
            regularization=self.regularization,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            seed=self.seed,
        )

    def _learn(self, x: sparse.csr_array, labels: np.ndarray, progress: bool) -> None:
        machine = self._machine().fit(x, labels, progress=progress)
        self.w0_, self.w_, self.v_ = machine.w0_, machine.w_, machine.v_

    def _probability(self, x: sparse.csr_array) -> np.ndarray:
        machine = self._machine()
        machine.w0_, machine.w_, machine.v_ = self.w0_, self.w_, self.v_
        return machine.predict(x)
