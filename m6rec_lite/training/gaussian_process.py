"""A Gaussian process by hand, and the expected improvement that Bayesian optimization maximises.

Source: Jones, Schonlau and Welch, *Efficient global optimization of expensive black-box functions*,
1998; Snoek, Larochelle and Adams, *Practical Bayesian optimization of machine learning algorithms*,
2012.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import norm


def rbf_kernel(first: np.ndarray, second: np.ndarray, length_scale: float = 0.2) -> np.ndarray:
    """Return ``exp(-|x - y|^2 / (2 length_scale^2))`` for all pairs of points.

    Args:
        first: ``(n, d)``.
        second: ``(m, d)``.
        length_scale: distance at which the correlation has fallen to .61.

    Returns:
        ``(n, m)``.
    """
    squared = ((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=2)
    return np.exp(-squared / (2 * length_scale**2))


def gp_posterior(
    x: np.ndarray,
    y: np.ndarray,
    at: np.ndarray,
    *,
    length_scale: float = 0.2,
    noise: float = 1e-2,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of a Gaussian process, given noisy values.

    With the kernel matrix K of the points and k of points and ``at``, the mean is
    ``k' (K + noise I)^-1 y`` and the variance ``1 - k' (K + noise I)^-1 k``. The prior has mean 0
    and variance 1, so ``y`` should be standardised.

    Args:
        x: ``(n, d)`` points.
        y: ``(n,)`` values.
        at: ``(m, d)`` points to predict.
        length_scale: see ``rbf_kernel``.
        noise: variance of the noise of ``y``.

    Returns:
        ``(m,)`` means and ``(m,)`` standard deviations of the function without noise.
    """
    cross = rbf_kernel(x, at, length_scale)  # (n, m)
    factor = cho_factor(rbf_kernel(x, x, length_scale) + noise * np.eye(len(x)))
    mean = cross.T @ cho_solve(factor, y)
    variance = 1.0 - (cross * cho_solve(factor, cross)).sum(axis=0)
    return mean, np.sqrt(np.maximum(variance, 0.0))


def expected_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """Return ``E[max(f - best, 0)]`` of normal f: ``std (z Phi(z) + phi(z))``, z standardised.

    Args:
        mean: ``(m,)``.
        std: ``(m,)``, 0 or more.
        best: the best value so far; higher is better.

    Returns:
        ``(m,)``, 0 or more.
    """
    z = (mean - best) / np.maximum(std, 1e-12)
    return np.where(std > 0, std * (z * norm.cdf(z) + norm.pdf(z)), np.maximum(mean - best, 0.0))
