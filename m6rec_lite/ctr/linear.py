"""Click models on features: logistic regression, and a factorization machine.

Both read the table of ``impressions.known_at`` through one encoder. Logistic regression is written
here, by Newton's method from scipy: loss, gradient and curvature are a few lines that the course
teaches, and scipy is a dependency already. A test holds its weights equal to scikit-learn's, which
stays a dependency of the tests alone.
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
    """Logistic regression: the intercept b and the weights w that minimise

        sum_n [log(1 + exp(s_n)) - y_n s_n] + l2/2 |w|^2,    s = x w + b.

    The intercept goes free. With p = sigmoid(s) the gradient is ``x'(p - y) + l2 w``, and the
    curvature times a vector v ``x'(p (1 - p) x v) + l2 v``; Newton's method in a trust region needs
    no more (Lin, Weng and Keerthi, *Trust region Newton method for logistic regression*, 2008).
    The loss is convex, so there is one answer and no seed: scikit-learn's with ``C = 1 / l2``.

    Args:
        x: ``(n, n_features)``.
        labels: ``(n,)`` 0.0 and 1.0, both of which occur.
        l2: above 0, so that weights stay finite where features tell the labels apart perfectly.
        max_steps: of Newton's method; some ten are usual.

    Returns:
        b, and w ``(n_features,)``.

    Raises:
        RuntimeError: if the minimum was not reached in ``max_steps``.
    """
    n = len(labels)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        b, w = theta[0], theta[1:]
        s = x @ w + b
        slope = expit(s) - labels
        value = (np.logaddexp(0.0, s) - labels * s).sum() + 0.5 * l2 * (w @ w)
        return value / n, np.concatenate(([slope.sum()], x.T @ slope + l2 * w)) / n

    def curvature(theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        p = expit(x @ theta[1:] + theta[0])
        bent = p * (1 - p) * (x @ v[1:] + v[0])
        return np.concatenate(([bent.sum()], x.T @ bent + l2 * v[1:])) / n

    start = np.zeros(x.shape[1] + 1)
    start[0] = np.log(labels.mean() / (1 - labels.mean()))
    found = optimize.minimize(
        loss, start, jac=True, hessp=curvature, method="trust-ncg",
        options={"gtol": 1e-8, "maxiter": max_steps},
    )  # fmt: skip
    slope = np.abs(found.jac).max()
    if slope > 1e-6:
        raise RuntimeError(
            f"logistic regression stopped after {found.nit} steps at a slope of {slope:.2g}; raise "
            f"max_steps, or l2 above {l2:g}"
        )
    return float(found.x[0]), found.x[1:]


class FeatureCTR(ClickModel):
    """What click models on features share: a table, its encoder, and groups to choose from."""

    groups: Sequence[str]
    bins: int
    least: int

    @abstractmethod
    def _learn(self, x: sparse.csr_array, labels: np.ndarray, progress: bool) -> None:
        """Fit to ``(n, n_features)`` and ``(n,)`` labels."""

    @abstractmethod
    def _chance(self, x: sparse.csr_array) -> np.ndarray:
        """``(n,)`` chances."""

    def _check(self) -> None:
        self.groups = tuple(self.groups)
        Encoder(self.bins, self.least)  # checks the two

    def _fit(self, rows: pd.DataFrame, labels: np.ndarray, dataset: Dataset, **extras: Any) -> None:
        table = known_at(rows, dataset, groups=self.groups)
        encoder = Encoder(self.bins, self.least).fit(table)
        self._learn(encoder.transform(table), labels, bool(extras.get("progress")))
        self.encoder = encoder

    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        table = known_at(rows, dataset, groups=self.groups)
        return self._chance(self.encoder.transform(table))

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
    """Logistic regression on what was known of an impression.

    Source: Richardson, Dominowska and Ragno, *Predicting clicks*, 2007, for its use on clicks.

    Args:
        l2: strength of the penalty on the weights (see ``fit_logistic``).
        groups: of features, see ``impressions.GROUPS``.
        bins: quantiles a number is cut into; 0 keeps numbers, as z-scores.
        least: rows that a category needs to get a weight.
        label: see ``ClickModel``.

    Attributes:
        intercept_: the log odds where every feature is 0.
        weights_: ``(n_features,)``, by the names of ``weights()``.
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
        """The weights by the names of their features, the strongest first."""
        self._require_fitted()
        found = pd.Series(self.weights_, index=self.encoder.names)
        return found.iloc[np.argsort(-np.abs(self.weights_), kind="stable")]

    def _learn(self, x: sparse.csr_array, labels: np.ndarray, progress: bool) -> None:
        self.intercept_, self.weights_ = fit_logistic(x, labels, self.l2)

    def _chance(self, x: sparse.csr_array) -> np.ndarray:
        return expit(x @ self.weights_ + self.intercept_)


@dataclass(eq=False)
class FactorizationMachineCTR(FeatureCTR):
    """A factorization machine on the same features: each meets each (``factorization_machine``).

    Args:
        factors: length of the features' vectors.
        regularization: of weights and vectors, for each row that has the feature.
        epochs: passes over the rows.
        lr: Adam's learning rate.
        batch_size: rows a step.
        groups: of features, see ``impressions.GROUPS``.
        bins: quantiles a number is cut into; 0 keeps numbers, as z-scores.
        least: rows that a category needs to get a weight.
        label: see ``ClickModel``.
        seed: of the start and the order.
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
        self._machine()  # checks the rest

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

    def _chance(self, x: sparse.csr_array) -> np.ndarray:
        machine = self._machine()
        machine.w0_, machine.w_, machine.v_ = self.w0_, self.w_, self.v_
        return machine.predict(x)
