"""Right answers to ``share_like_test``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.share_like_test import _share


def _from_the_end(hidden: np.ndarray, lengths: np.ndarray) -> float:
    alike = asked = 0
    for row, length in zip(hidden, lengths, strict=True):
        asked += int(row[:length].sum())
        for is_hidden in row[:length][::-1]:
            if not is_hidden:
                break
            alike += 1
    return alike / asked


CORRECT = (_share, _from_the_end)

EQUIVALENT = {
    "start = visible[-1] if len(visible) else 0": "the visible item itself adds nothing",
    "start = visible[-1] + 0 if len(visible) else 0": "likewise",
}
