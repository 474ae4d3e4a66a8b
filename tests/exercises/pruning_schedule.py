"""Right answers to ``pruning_schedule``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.pruning_schedule import _share


def _by_clip(step: int, start: int, end: int, target: float) -> float:
    left = 1 - np.clip((step - start) / (end - start), 0, 1)
    return float(target - target * left**3)


CORRECT = (_share, _by_clip)

EQUIVALENT: dict[str, str] = {}
