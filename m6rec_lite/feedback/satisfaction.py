"""Satisfaction: what counts as accepted, and a ranker that maximises its log-likelihood.

With y = 1 for an accepted and 0 for a refused item, and z the predicted probability of acceptance,

    f(y, z) = y ln z + (1 - y) ln(1 - z)

is maximised; the loss is minus the mean of f (``evaluation.satisfaction`` computes the mean).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from m6rec_lite.data.tables import DataError, NotFittedError
from m6rec_lite.recommenders.params import Params, check_in_range

EPS = 1e-9  #: smallest distance of a probability from 0 and 1 in logarithms


@dataclass(frozen=True, eq=False)
class Feedback:
    """Answers to ``n`` slates of ``k`` items, three ``(n, k)`` bool arrays.

    Attributes:
        clicked: the item was clicked.
        purchased: it was clicked and purchased.
        wanted: it was clicked, and is good in the aspect that the shopper values most.
    """

    clicked: np.ndarray
    purchased: np.ndarray
    wanted: np.ndarray


#: What counts as accepted, by name: ``(n, k)`` float64, 1 or 0.
SATISFACTIONS: dict[str, Callable[[Feedback], np.ndarray]] = {
    "clicks": lambda feedback: feedback.clicked.astype(np.float64),
    "purchases": lambda feedback: feedback.purchased.astype(np.float64),
    "ratings": lambda feedback: feedback.wanted.astype(np.float64),
}


class SatisfactionRanker(Params):
    """Linear ranker, trained to maximise the mean satisfaction of shown items.

    A shown item is accepted with probability ``z = e * sigmoid(w x)``, where e is the probability
    that its position is examined. Training minimises ``-mean f(y, z) + l2 / 2n * |w|^2``; the first
    feature, ``bias``, is not penalised.

    Args:
        l2: strength of the penalty, above 0.

    Attributes:
        weights_: ``(d,)`` w; None before ``fit``.
    """

    weights_: np.ndarray | None = None

    def __init__(self, l2: float = 1.0) -> None:
        check_in_range("l2", l2, 0, open_low=True)
        self.l2 = l2

    def fit(self, features: np.ndarray, accepted: np.ndarray, examination: np.ndarray) -> Self:
        """Fit the weights by L-BFGS.

        Args:
            features: ``(n, d)`` of the shown items.
            accepted: ``(n,)`` 1 or 0.
            examination: ``(n,)`` probability that the item's position is examined, in (0, 1].

        Raises:
            DataError: if a label is not 0 or 1, or all are equal.
            ValueError: if an examination probability is not in (0, 1].
        """
        x, y, e = (np.asarray(part, np.float64) for part in (features, accepted, examination))
        if set(np.unique(y)) != {0.0, 1.0}:
            labels = np.unique(y)[:5].tolist()
            raise DataError(f"fit needs accepted (1) and refused (0) items only; got {labels}")
        if not ((e > 0) & (e <= 1)).all():
            raise ValueError("an examination probability must be above 0 and at most 1")
        penalty = np.full(x.shape[1], self.l2 / len(y))
        penalty[0] = 0.0

        def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
            s = expit(x @ w)
            z = np.clip(e * s, EPS, 1 - EPS)
            f = y * np.log(z) + (1 - y) * np.log(1 - z)
            slope = (z - y) * (1 - s) / (1 - z)  # of -f, in w x
            return (penalty * w) @ w / 2 - f.mean(), penalty * w + x.T @ slope / len(y)

        start = np.zeros(x.shape[1])
        rate = min(y.sum() / e.sum(), 0.99)
        start[0] = np.log(rate / (1 - rate))
        exact = {"ftol": 1e-12, "gtol": 1e-7, "maxiter": 500}
        self.weights_ = minimize(loss, start, jac=True, method="L-BFGS-B", options=exact).x
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the ``(...)`` probability that an examined item with ``(..., d)`` features suits.

        Raises:
            NotFittedError: before ``fit``.
        """
        if self.weights_ is None:
            raise NotFittedError(f"{self!r} is not fitted: call fit first")
        return expit(features @ self.weights_)
