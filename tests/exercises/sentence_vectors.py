"""Right answers to ``sentence_vectors``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.sentence_vectors import Output


def _vectors(output: Output, mask: np.ndarray) -> np.ndarray:
    """The mean under the mask: (texts, d)."""
    real = np.asarray(mask)[:, :, None].astype(float)
    return (output[0] * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


def _text_by_text(output: Output, mask: np.ndarray) -> list[np.ndarray]:
    zero = np.zeros(output[0].shape[2])
    rows = zip(output[0], np.asarray(mask).astype(bool), strict=True)
    return [states[real].mean(axis=0) if real.any() else zero for states, real in rows]


CORRECT = (_vectors, _text_by_text)
