"""Scaling laws: predict the loss of a model size and number of tokens from smaller runs.

The form is ``L(N, D) = floor + a / N^alpha + b / D^beta``: the irreducible loss, the excess loss of
a model of ``N`` parameters, and the excess loss after ``D`` training tokens. Source: Hoffmann et
al., *Training compute-optimal large language models*, 2022, equation 2; fitted as in section 3.3.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

#: Starting points of the fit: ln floor, ln a, alpha, ln b, beta.
STARTS = tuple(itertools.product((-2.0, 0.0), (2.0, 8.0), (0.2, 0.8), (2.0, 8.0), (0.2, 0.8)))


@dataclass(frozen=True)
class ScalingLaw:
    """``L(N, D) = floor + a / N^alpha + b / D^beta``, in nats a token."""

    floor: float
    a: float
    alpha: float
    b: float
    beta: float

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> np.ndarray:
        """Return the predicted loss in nats a token; the arguments are broadcast."""
        n, d = np.asarray(parameters, dtype=float), np.asarray(tokens, dtype=float)
        return self.floor + self.a / n**self.alpha + self.b / d**self.beta


def fit_law(
    parameters: ArrayLike,
    tokens: ArrayLike,
    losses: ArrayLike,
    *,
    delta: float = 1e-3,
    starts: Sequence[Sequence[float]] = STARTS,
) -> ScalingLaw:
    """Fit a law to finished runs.

    Minimizes the sum of Huber losses of ``ln L(N, D) - ln loss`` by L-BFGS from many starts.

    Args:
        parameters: ``(n,)`` number of parameters of each run's model.
        tokens: ``(n,)`` number of training tokens of each run.
        losses: ``(n,)`` held-out loss of each run, in nats a token.
        delta: error beyond which the Huber loss is linear and no longer quadratic.
        starts: starting points; the best of all results is returned.

    Raises:
        ValueError: if there are fewer than five runs, three sizes or three lengths, or if a number
            is not above 0.
    """
    n, d, y = (np.asarray(values, dtype=float) for values in (parameters, tokens, losses))
    if not n.shape == d.shape == y.shape or n.ndim != 1:
        raise ValueError(f"wanted three lists of one length, got {n.shape}, {d.shape}, {y.shape}")
    if not (np.isfinite([n, d, y]).all() and min(map(np.min, (n, d, y)), default=0) > 0):
        raise ValueError("weights, tokens and losses must be finite and above 0")
    sizes, lengths = len(np.unique(n)), len(np.unique(d))
    if len(y) < 5 or min(sizes, lengths) < 3:
        raise ValueError(
            "a law has five numbers: it wants at least five runs, of three sizes (two do not tell "
            f"the floor from what a size costs) and three lengths; got {len(y)} runs of {sizes} "
            f"sizes and {lengths} lengths"
        )
    log_n, log_d, log_y = np.log(n), np.log(d), np.log(y)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        log_floor, log_a, alpha, log_b, beta = x
        terms = np.stack(
            [np.full(len(y), log_floor), log_a - alpha * log_n, log_b - beta * log_d]
        )  # (3, n)
        predicted = logsumexp(terms, axis=0)
        error = predicted - log_y
        value = np.where(np.abs(error) < delta, error**2 / (2 * delta), np.abs(error) - delta / 2)
        floor, size, data = np.exp(terms - predicted) * np.clip(error / delta, -1, 1)
        gradient = [
            floor.sum(), size.sum(), -(size * log_n).sum(), data.sum(), -(data * log_d).sum()
        ]  # fmt: skip
        return float(value.sum()), np.array(gradient)

    bounds = [(-20, 5), (-20, 60), (0, 3), (-20, 60), (0, 3)]
    # The arrays are tiny: with several threads BLAS would spend nearly all time on waiting.
    with threadpool_limits(1, user_api="blas"):
        results = [
            minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
            for start in starts
        ]
    log_floor, log_a, alpha, log_b, beta = min(results, key=lambda result: result.fun).x
    return ScalingLaw(*map(float, (np.exp(log_floor), np.exp(log_a), alpha, np.exp(log_b), beta)))


def resampled_laws(
    parameters: ArrayLike,
    tokens: ArrayLike,
    losses: ArrayLike,
    *,
    n: int = 100,
    seed: int = 0,
) -> list[ScalingLaw]:
    """Return laws fitted to bootstrap samples of the residuals, which show how certain a law is.

    Residuals of the fitted law are drawn with replacement and added to its predictions. This
    measures the effect of noise in the runs, and not the error of a form that does not extrapolate.

    Args:
        parameters: ``(n_runs,)``, as in ``fit_law``.
        tokens: likewise.
        losses: likewise.
        n: number of laws.
        seed: of the draws.
    """
    law = fit_law(parameters, tokens, losses)
    predicted = np.log(law.loss(parameters, tokens))
    residuals = np.log(np.asarray(losses, dtype=float)) - predicted
    rng = np.random.default_rng(seed)
    samples = (np.exp(predicted + rng.choice(residuals, len(residuals))) for _ in range(n))
    floor, a, alpha, b, beta = astuple(law)
    tiny = np.finfo(float).tiny
    begin = (np.log(floor + tiny), np.log(a + tiny), alpha, np.log(b + tiny), beta)
    starts = (begin, *STARTS[::7])
    return [fit_law(parameters, tokens, sample, starts=starts) for sample in samples]
