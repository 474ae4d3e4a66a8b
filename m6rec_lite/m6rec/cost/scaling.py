"""Scaling laws: what loss a size will come to after so many tokens, from smaller finished runs.

The form is ``L(N, D) = floor + a / N^alpha + b / D^beta``: what no model foretells, what a model of
``N`` weights is too small for, and what ``D`` tokens are too few for. Source: Hoffmann et al.,
*Training compute-optimal large language models*, 2022, equation 2; fitted as its section 3.3 does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import logsumexp

#: Where the search for a law begins: ln floor, ln a, alpha, ln b, beta.
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
        """Nats a token of models of so many weights after so many tokens, broadcast."""
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
    """The law nearest to some finished runs.

    Minimises the sum of Huber losses of ``ln L(N, D) - ln loss`` by L-BFGS from many starts.

    Args:
        parameters: ``(n,)`` weights of each run's model.
        tokens: ``(n,)`` tokens it read.
        losses: ``(n,)`` nats a token that it came to, held out.
        delta: where the Huber loss turns from squares to absolute values: a run that is off by
            more than this share counts by its distance only.
        starts: of the search; the best end of all is the law.

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
        said = logsumexp(terms, axis=0)
        off = said - log_y
        value = np.where(np.abs(off) < delta, off**2 / (2 * delta), np.abs(off) - delta / 2)
        floor, size, data = np.exp(terms - said) * np.clip(off / delta, -1, 1)
        gradient = [
            floor.sum(), size.sum(), -(size * log_n).sum(), data.sum(), -(data * log_d).sum()
        ]  # fmt: skip
        return float(value.sum()), np.array(gradient)

    bounds = [(-20, 5), (-20, 60), (0, 3), (-20, 60), (0, 3)]
    found = [
        minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds) for start in starts
    ]
    log_floor, log_a, alpha, log_b, beta = min(found, key=lambda one: one.fun).x
    return ScalingLaw(*map(float, (np.exp(log_floor), np.exp(log_a), alpha, np.exp(log_b), beta)))


def resampled_laws(
    parameters: ArrayLike,
    tokens: ArrayLike,
    losses: ArrayLike,
    *,
    n: int = 100,
    seed: int = 0,
) -> list[ScalingLaw]:
    """Laws of runs whose losses were off by as much, in another order: how sure a law is.

    What the law says of each run stays, and what the runs are off by is drawn anew with
    replacement (a bootstrap of residuals). That shows what chance in the runs does to the law; it
    says nothing of a form that does not hold beyond the runs.

    Args:
        parameters: ``(n_runs,)``, and so on as for ``fit_law``.
        tokens: likewise.
        losses: likewise.
        n: laws.
        seed: of the draws.
    """
    law = fit_law(parameters, tokens, losses)
    said = np.log(law.loss(parameters, tokens))
    off = np.log(np.asarray(losses, dtype=float)) - said
    rng = np.random.default_rng(seed)
    again = (np.exp(said + rng.choice(off, len(off))) for _ in range(n))
    floor, a, alpha, b, beta = astuple(law)
    tiny = np.finfo(float).tiny
    begin = (np.log(floor + tiny), np.log(a + tiny), alpha, np.log(b + tiny), beta)
    starts = (begin, *STARTS[::7])
    return [fit_law(parameters, tokens, one, starts=starts) for one in again]
