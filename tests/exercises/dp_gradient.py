"""Right answers to ``dp_gradient``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.dp_gradient import _gradient


def _by_loop(
    gradients: np.ndarray,
    max_norm: float,
    noise_multiplier: float,
    expected_size: float,
    noise: np.ndarray,
) -> np.ndarray:
    total = noise_multiplier * max_norm * noise
    for gradient in gradients:
        norm = float(np.sqrt((gradient**2).sum()))
        total = total + (gradient if norm <= max_norm else gradient / norm * max_norm)
    return total / expected_size


CORRECT = (_gradient, _by_loop)

EQUIVALENT: dict[str, str] = {}
