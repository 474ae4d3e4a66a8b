"""Right answers to ``prefix_lm_mask``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.prefix_lm_mask import _mask


def _mask_by_loops(document: np.ndarray, known: np.ndarray) -> list[list[bool]]:
    rows = []
    for i in range(len(document)):
        own = [document[j] == document[i] != 0 for j in range(len(document))]
        rows.append([bool(own[j] and (j <= i or known[j])) for j in range(len(document))])
    return rows


CORRECT = (_mask, _mask_by_loops)

EQUIVALENT = {
    "same = (document[:, None] == document) & (document > 0)[None, :]": (
        "a vector broadcasts as a row"
    ),
    "same = (document[:, None] == document[None, :]) & (document > 0)": (
        "a vector broadcasts as a row"
    ),
    "same = (document[:, None] == document[None, :]) & (document > 0)[:, None]": (
        "rows of the same document are both padding or both not"
    ),
    "return same & (known | np.tri(len(document), dtype=bool))": "a vector broadcasts as a row",
    "return same & (known[None, :] | np.tri(len(known), dtype=bool))": (
        "both have one entry a token"
    ),
}
