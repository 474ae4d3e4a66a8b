"""Right answers to ``nucleus_probs``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.nucleus_probs import _nucleus


def _in_a_loop(probs: np.ndarray, p: float) -> list[float]:
    """The same, one token at a time."""
    kept, total = [0.0] * len(probs), 0.0
    for i in sorted(range(len(probs)), key=lambda i: (-probs[i], i)):
        kept[i] = float(probs[i])
        total += kept[i]
        if total >= p:
            break
    return [value / total for value in kept]


CORRECT = (_nucleus, _in_a_loop)

EQUIVALENT = {
    "without: probs = np.asarray(probs)": "the probabilities are an array",
}
