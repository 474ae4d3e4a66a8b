"""Right answers to ``reconstruction_loss``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.reconstruction_loss import _loss


def _two_sides(x: np.ndarray, z: np.ndarray) -> float:
    there, absent = np.logaddexp(0, -z), np.logaddexp(0, z)
    return float(np.where(np.asarray(x) == 1, there, absent).mean())


CORRECT = (_loss, _two_sides)
