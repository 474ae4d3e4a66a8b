"""Right answers to ``prefix_lm_targets``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.prefix_lm_targets import _targets


def _targets_by_loop(ids: np.ndarray, n: int, pad: int) -> tuple[list[int], list[int]]:
    pairs = [(t, int(ids[t + 1])) for t in range(n, len(ids) - 1) if ids[t + 1] != pad]
    return [t for t, _ in pairs], [token for _, token in pairs]


CORRECT = (_targets, _targets_by_loop)
