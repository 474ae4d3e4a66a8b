"""Right answers to ``sequence_loss``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.sequence_loss import masked_loss


def _in_loops(logp: np.ndarray, targets: np.ndarray) -> float:
    losses = [
        -float(logp[i, t, target])
        for i, row in enumerate(targets)
        for t, target in enumerate(row)
        if target >= 0
    ]
    return sum(losses) / len(losses)


CORRECT = (masked_loss, _in_loops)

EQUIVALENT = {
    "picked = np.take_along_axis(logp, np.where(real, targets, 0)[..., None], axis=-1)": (
        "the mean runs over the extra axis of length 1"
    ),
    "picked = np.take_along_axis(logp, np.where(real, targets, 0)[..., None])[..., 0]": (
        "the last axis is the default"
    ),
    "picked = np.take_along_axis(logp, np.where(real, targets, 1)[..., None], axis=-1)[..., 0]": (
        "what padding picks is left out"
    ),
    "picked = np.take_along_axis(logp, np.where(real, targets, -1)[..., None], axis=-1)[..., 0]": (
        "what padding picks is left out"
    ),
    "picked = np.take_along_axis(logp, np.where(real, targets, 0)[..., None], axis=-1)[..., -1]": (
        "the last axis has length 1"
    ),
}
