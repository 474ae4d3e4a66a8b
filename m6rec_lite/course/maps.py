"""Vectors on paper: two numbers for each, so that near neighbours stay near (t-SNE).

Source: van der Maaten and Hinton, *Visualizing data using t-SNE*, 2008. Exact, so for a few
thousand vectors at most. Read such a map with care: what lies together belongs together, but
distances between islands, and their sizes, mean nothing.
"""

from __future__ import annotations

import math

import numpy as np


def tsne(
    vectors: np.ndarray, *, neighbours: float = 15.0, steps: int = 400, seed: int = 0
) -> np.ndarray:
    """A place on paper for each vector.

    Near vectors get a chance by their distance, ``p_ij ~ exp(-beta_i |x_i - x_j|^2)``; on paper,
    ``q_ij ~ 1 / (1 + |y_i - y_j|^2)``, whose long tail leaves room; and the places y move down the
    slope of ``sum p ln(p / q)``, ``4 sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2)``.

    Args:
        vectors: ``(n, d)``, at least 3.
        neighbours: how many of the others count for each (the perplexity): from above 1 to below n.
        steps: of the descent; in the first quarter p is exaggerated, which lets islands form.
        seed: of the places at the start.

    Returns:
        ``(n, 2)`` float64, centred.

    Raises:
        ValueError: if there are fewer than 3 vectors, they are not numbers, or neighbours or steps
            are out of range.
    """
    x = np.asarray(vectors, dtype=np.float64)
    if x.ndim != 2 or len(x) < 3 or not np.isfinite(x).all():
        raise ValueError(f"wanted (n, d) finite numbers with n >= 3, got shape {x.shape}")
    if not 1 < neighbours < len(x):
        raise ValueError(f"neighbours must be above 1 and below n={len(x)}, got {neighbours!r}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    p = neighbour_chances(x, neighbours)
    y = 1e-4 * np.random.default_rng(seed).normal(size=(len(x), 2))
    velocity, gain = np.zeros_like(y), np.ones_like(y)
    rate = max(len(x) / 12 / 4, 50.0)
    for step in range(steps):
        early = step < steps // 4
        w = 1 / (1 + _squared_distances(y))
        np.fill_diagonal(w, 0.0)
        pull = ((12.0 if early else 1.0) * p - w / w.sum()) * w
        slope = 4 * (pull.sum(axis=1)[:, None] * y - pull @ y)
        gain = np.where(slope * velocity < 0, gain + 0.2, np.maximum(0.8 * gain, 0.01))
        velocity = (0.5 if early else 0.8) * velocity - rate * gain * slope
        y = y + velocity
        y -= y.mean(axis=0)
    return y


def neighbour_chances(vectors: np.ndarray, neighbours: float) -> np.ndarray:
    """How near each two are: symmetric chances that add up to 1.

    Args:
        vectors: ``(n, d)``.
        neighbours: e to the entropy of each row's chances before they are made symmetric.

    Returns:
        ``(n, n)``, 0 on the diagonal.
    """
    squared = _squared_distances(np.asarray(vectors, dtype=np.float64))
    np.fill_diagonal(squared, np.inf)
    squared -= squared.min(axis=1, keepdims=True)  # the nearest is certain to count
    low, high = np.zeros(len(squared)), np.full(len(squared), np.inf)
    beta = 1 / np.maximum(np.median(squared, axis=1), 1e-12)
    for _ in range(60):  # a wider row needs a larger beta
        chances = np.exp(-beta[:, None] * squared)
        chances /= chances.sum(axis=1, keepdims=True)
        entropy = -(chances * np.log(np.maximum(chances, 1e-300))).sum(axis=1)
        wide = entropy > math.log(neighbours)
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), 2 * beta, (low + high) / 2)
    return (chances + chances.T) / (2 * len(chances))


def _squared_distances(x: np.ndarray) -> np.ndarray:
    length = (x**2).sum(axis=1)
    return np.maximum(length[:, None] + length - 2 * x @ x.T, 0.0)
