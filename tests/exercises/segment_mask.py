"""Right answers to ``segment_mask``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.segment_mask import _mask


def _by_loops(segment: np.ndarray, known: int) -> list[list[bool]]:
    n = len(segment)
    return [
        [bool(segment[i] == segment[j] and (j < known or j <= i)) for j in range(n)]
        for i in range(n)
    ]


def _by_outer(segment: np.ndarray, known: int) -> np.ndarray:
    allowed = np.tri(len(segment), dtype=bool)
    allowed[:, :known] = True
    return np.equal.outer(segment, segment) & allowed


CORRECT = (_mask, _by_loops, _by_outer)

EQUIVALENT = {
    "same = segment[:, None] == segment": "broadcasting adds the first axis",
    "return same & ((index < known) | (index[None, :] <= index[:, None]))": (
        "broadcasting adds the first axis"
    ),
    "return same & ((index <= known)[None, :] | (index[None, :] <= index[:, None]))": (
        "the first written token is in a segment without known tokens"
    ),
    "return same & ((index < known)[:, None] | (index[None, :] <= index[:, None]))": (
        "within a segment, all tokens are known or none is"
    ),
    "return same & ((index < known)[None, :] | (index <= index[:, None]))": (
        "broadcasting adds the first axis"
    ),
}
