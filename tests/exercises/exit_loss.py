"""Right answers to ``exit_loss``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.exit_loss import _loss


def _by_arrays(losses: list[float]) -> float:
    k = np.arange(1, len(losses) + 1)
    return float(k / k.sum() @ np.array(losses))


CORRECT = (_loss, _by_arrays)

EQUIVALENT: dict[str, str] = {}
