"""Right answers to ``round_trip_error``, written in other ways."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.course.exercises.read_back import _read_back
from m6rec_lite.course.exercises.round_trip_error import _error
from m6rec_lite.m6rec import dequantize_blockwise, quantize_blockwise


def _by_norms(w: np.ndarray, bits: int, block: int) -> float:
    return float(np.linalg.norm(_read_back(w, bits, block) - w) / np.linalg.norm(w))


def _by_package(w: np.ndarray, bits: int, block: int) -> float:
    rows = torch.from_numpy(w)[None]
    again = dequantize_blockwise(*quantize_blockwise(rows, bits, block), len(w))
    return float((again - rows).norm() / rows.norm())


CORRECT = (_error, _by_norms, _by_package)

EQUIVALENT = {
    "again = dequantize_blockwise(codes, scales, len(w)).numpy()": "one row broadcasts to w",
    "again = dequantize_blockwise(codes, scales, len(w))[-1].numpy()": "there is one row",
    "return float(np.sqrt(((w - again) ** 2).mean() / (w ** 2).mean()))": "it is squared",
}
