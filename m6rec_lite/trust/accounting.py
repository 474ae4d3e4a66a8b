"""How much privacy a training run spends: Rényi accounting of the sampled Gaussian mechanism.

A step of DP-SGD draws each person with probability q, sums clipped gradients of norm at most C, and
adds Gaussian noise of standard deviation ``noise_multiplier * C``. Sources: Abadi et al., *Deep
learning with differential privacy*, 2016; Mironov, Talwar and Zhang, *Rényi differential privacy of
the sampled Gaussian mechanism*, 2019, section 3.3.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special

from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.trust.mechanisms import check_privacy

#: Orders of the Rényi divergence among which the best one is chosen.
ORDERS = np.concatenate([np.arange(2, 64), 2 ** np.arange(6, 11)])

_LOG_NOISE = math.log(0.2), math.log(2000.0)  #: range in which a noise multiplier is sought


def renyi_divergences(noise_multiplier: float, sample_rate: float) -> np.ndarray:
    """Return the Rényi divergences of one step for all ``ORDERS``.

    For a whole order a it is ``1/(a-1) ln sum_k binom(a, k) (1-q)^(a-k) q^k exp((k^2-k)/(2 s^2))``
    with the noise multiplier s and k from 0 to a.
    """
    divergences = []
    for order in ORDERS.tolist():
        k = np.arange(order + 1)
        log_binomial = special.gammaln(order + 1) - special.gammaln(k + 1)
        log_binomial -= special.gammaln(order - k + 1)
        log_sampling = special.xlogy(k, sample_rate) + special.xlogy(order - k, 1 - sample_rate)
        terms = log_binomial + log_sampling + (k**2 - k) / (2 * noise_multiplier**2)
        divergences.append(special.logsumexp(terms) / (order - 1))
    return np.array(divergences)


def epsilon_spent(
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    delta: float,
) -> float:
    """Return the epsilon of a run of DP-SGD at a delta.

    Args:
        noise_multiplier: standard deviation of the noise, as a multiple of the clipping norm.
        sample_rate: probability q in (0, 1] that a person takes part in a step.
        steps: number of steps.
        delta: in (0, 1).

    Raises:
        ValueError: if an argument is out of range.
    """
    check_privacy(1.0, delta)
    check_in_range("noise_multiplier", noise_multiplier, 0, open_low=True)
    check_in_range("sample_rate", sample_rate, 0, 1, open_low=True)
    steps = check_whole("steps", steps)
    spent = steps * renyi_divergences(noise_multiplier, sample_rate)
    # From Rényi to (epsilon, delta): Balle et al., Hypothesis testing interpretations, 2020.
    conversion = np.log1p(-1 / ORDERS) - (math.log(delta) + np.log(ORDERS)) / (ORDERS - 1)
    return float(max(0.0, (spent + conversion).min()))


def noise_for_epsilon(
    epsilon: float,
    sample_rate: float,
    steps: int,
    delta: float,
) -> float:
    """Return the smallest noise multiplier with which a run spends at most ``epsilon``.

    Args: as of ``epsilon_spent``.

    Raises:
        ValueError: if an argument is out of range, or no noise is large enough.
    """
    check_privacy(epsilon, delta)

    def excess(log_noise: float) -> float:
        return epsilon_spent(math.exp(log_noise), sample_rate, steps, delta) - epsilon

    low, high = _LOG_NOISE
    if excess(high) > 0:
        raise ValueError(
            f"no noise reaches epsilon={epsilon:g} at delta={delta:g} in {steps} steps: take a "
            "larger epsilon, fewer steps or a smaller sample_rate"
        )
    if excess(low) < 0:
        return math.exp(low)
    noise = math.exp(optimize.brentq(excess, low, high, xtol=1e-5))
    return noise * (1 + 2e-5)  # on the safe side of the root
