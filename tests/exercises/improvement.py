"""Right answers to ``improvement``, written in other ways."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.improvement import _improvement


def _by_hand(mean: np.ndarray, std: np.ndarray, best: float) -> list[float]:
    values = []
    for m, s in zip(mean, std, strict=True):
        z = (m - best) / s
        phi = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        values.append((m - best) * (1 + math.erf(z / math.sqrt(2))) / 2 + s * phi)
    return values


def _by_integral(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """Mean of max(f - best, 0) over a fine grid of normal f."""
    x = np.linspace(-9, 9, 200_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    gains = np.maximum(mean[:, None] + std[:, None] * x - best, 0)
    return (gains * density).sum(axis=1) * (x[1] - x[0])


CORRECT = (_improvement, _by_hand, _by_integral)

EQUIVALENT: dict[str, str] = {}
