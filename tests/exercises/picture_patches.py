"""Right answers to ``picture_patches``, written in other ways."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.course.exercises.picture_patches import _cut
from m6rec_lite.multimodal import to_patches


def _by_slices(pictures: np.ndarray, size: int) -> np.ndarray:
    starts = range(0, pictures.shape[1], size)
    patches = [pictures[:, y : y + size, x : x + size] for y in starts for x in starts]
    return np.stack([patch.reshape(len(pictures), -1) for patch in patches], axis=1)


def _by_package(pictures: np.ndarray, size: int) -> torch.Tensor:
    return to_patches(torch.from_numpy(pictures), size)


CORRECT = (_cut, _by_slices, _by_package)

EQUIVALENT = {
    "cut = pictures.reshape(rows, n, size, rows, size, 3)": (
        "the first two axes stay where they are, and the last line counts them anew"
    ),
    "cut = pictures.reshape(n, rows, size, rows, 3, size)": (
        "the last two axes stay where they are, and the last line joins them"
    ),
}
