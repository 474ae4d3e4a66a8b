"""Mechanisms of differential privacy, and an audit of what they promise.

A mechanism M is (epsilon, delta)-differentially private if for all data D and D' that differ in
the rows of one person, and all sets S of outputs,

    P(M(D) in S) <= exp(epsilon) P(M(D') in S) + delta

Source: Dwork and Roth, *The algorithmic foundations of differential privacy*, 2014.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special, stats

from m6rec_lite.recommenders.params import check_in_range


def check_privacy(epsilon: float, delta: float | None = None, sensitivity: float = 1.0) -> None:
    """Raise ``ValueError`` unless epsilon and sensitivity are above 0, and delta in (0, 1)."""
    if not epsilon > 0:
        raise ValueError(
            f"epsilon must be > 0, got {epsilon!r}: 0 would allow the data no influence at all. "
            "Small values such as 0.1 protect more, large ones such as 10 less"
        )
    if delta is not None and not 0 < delta < 1:
        raise ValueError(f"delta must lie strictly between 0 and 1, such as 1e-5; got {delta!r}")
    check_in_range("sensitivity", sensitivity, 0, open_low=True)


def laplace_mechanism(
    value: np.ndarray | float, *, sensitivity: float, epsilon: float, rng: np.random.Generator
) -> np.ndarray:
    """Add Laplace noise of scale ``sensitivity / epsilon``: epsilon-differentially private.

    Args:
        value: a number, or an array of them that is published as a whole.
        sensitivity: the most that one person can change ``value``, in the L1 norm. A person with
            40 rows changes 40 counts.
        epsilon: above 0.
        rng: random generator.

    Raises:
        ValueError: if epsilon or the sensitivity is not above 0.
    """
    check_privacy(epsilon, sensitivity=sensitivity)
    value = np.asarray(value, dtype=np.float64)
    return value + rng.laplace(scale=sensitivity / epsilon, size=value.shape)


def gaussian_mechanism(
    value: np.ndarray | float,
    *,
    sensitivity: float,
    epsilon: float,
    delta: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Add Gaussian noise of standard deviation ``gaussian_sigma``.

    Args:
        value: a number, or an array of them that is published as a whole.
        sensitivity: the most that one person can change ``value``, in the L2 norm.
        epsilon: above 0.
        delta: in (0, 1), much smaller than one over the number of people.
        rng: random generator.

    Raises:
        ValueError: if an argument is out of range.
    """
    value = np.asarray(value, dtype=np.float64)
    scale = gaussian_sigma(epsilon, delta, sensitivity)
    return value + rng.normal(scale=scale, size=value.shape)


def gaussian_delta(sigma: float, epsilon: float, sensitivity: float = 1.0) -> float:
    """Return the smallest delta at which Gaussian noise gives (epsilon, delta)-privacy.

    With s = sensitivity / sigma and e = epsilon it is ``Phi(s/2 - e/s) - exp(e) Phi(-s/2 - e/s)``.
    Source: Balle and Wang, *Improving the Gaussian mechanism for differential privacy*, 2018,
    theorem 8.

    Raises:
        ValueError: if sigma, epsilon or the sensitivity is not above 0.
    """
    check_privacy(epsilon, sensitivity=sensitivity)
    check_in_range("sigma", sigma, 0, open_low=True)
    s = sensitivity / sigma
    inside = special.ndtr(s / 2 - epsilon / s)
    outside = math.exp(epsilon + special.log_ndtr(-s / 2 - epsilon / s))
    return float(max(0.0, inside - outside))


def gaussian_sigma(epsilon: float, delta: float, sensitivity: float = 1.0) -> float:
    """Return the smallest standard deviation of Gaussian noise for (epsilon, delta)-privacy.

    The formula of textbooks, ``sensitivity * sqrt(2 ln(1.25 / delta)) / epsilon``, is proved for
    epsilon below 1 only: there it adds more noise than needed, and for large epsilon too little.

    Raises:
        ValueError: if an argument is out of range.
    """
    check_privacy(epsilon, delta, sensitivity)

    def excess(log_sigma: float) -> float:
        return gaussian_delta(math.exp(log_sigma), epsilon) - delta

    return sensitivity * math.exp(optimize.brentq(excess, math.log(1e-4), math.log(1e6)))


def epsilon_lower_bound(
    first: np.ndarray, second: np.ndarray, *, delta: float = 0.0, level: float = 0.95
) -> float:
    """Return an epsilon that a mechanism exceeds, from its outputs on neighbouring data.

    The set S of the definition is "output above t" or "output at most t". The threshold t with the
    largest ratio is chosen on half of the outputs, and the ratio bounded on the other half by
    Clopper-Pearson intervals. A bound above the promised epsilon shows that the promise is broken;
    a bound below it proves nothing. Source: Jagielski, Ullman and Oprea, *Auditing differentially
    private machine learning*, 2020.

    Args:
        first: ``(n,)`` outputs on data with a person.
        second: ``(m,)`` outputs on the same data without that person.
        delta: of the promise.
        level: probability that the bound is valid.

    Returns:
        The bound, 0 or more.

    Raises:
        ValueError: if a sample has fewer than four outputs.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if min(len(first), len(second)) < 4:
        raise ValueError(f"each sample needs 4 outputs or more, got {len(first)}, {len(second)}")
    tail = (1 - level) / 2

    def bound(p: np.ndarray, q: np.ndarray, t: float, sign: int) -> float:
        hits = [int((sign * (sample - t) > 0).sum()) for sample in (p, q)]
        low = stats.beta.ppf(tail, hits[0], len(p) - hits[0] + 1) if hits[0] else 0.0
        high = stats.beta.ppf(1 - tail, hits[1] + 1, len(q) - hits[1]) if hits[1] < len(q) else 1.0
        return math.log((low - delta) / high) if low > delta else -math.inf

    chosen, judged = (first[::2], second[::2]), (first[1::2], second[1::2])
    events = [
        (*samples, float(t), sign)
        for t in np.quantile(np.concatenate(chosen), np.linspace(0.01, 0.99, 99))
        for sign in (1, -1)
        for samples in ((0, 1), (1, 0))
    ]
    p, q, t, sign = max(events, key=lambda e: bound(chosen[e[0]], chosen[e[1]], e[2], e[3]))
    return max(0.0, bound(judged[p], judged[q], t, sign))
