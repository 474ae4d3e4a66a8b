"""Exercise ``round_trip_error``: how the error of a quantized matrix depends on its bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.exercises.read_back import _read_back
from m6rec_lite.course.open_exercise import OpenExercise


def weights(n: int = 4096) -> np.ndarray:
    """Return normal weights."""
    return np.random.default_rng(0).normal(0, 0.02, n)


def _error(w: np.ndarray, bits: int, block: int) -> float:
    """The right answer."""
    again = _read_back(w, bits, block)
    return float(np.sqrt(((again - w) ** 2).mean() / (w**2).mean()))


def _apart(w: np.ndarray, bits: int, block: int) -> np.ndarray:
    return _read_back(w, bits, block) - w


def _cases() -> tuple[Case, ...]:
    outlier = np.array([0.7, -0.36, 0.04, 0.02, -7.0, 2.6, -5.4, 1.0])
    rows: tuple[tuple[Any, ...], ...] = (
        (outlier, 4, 4, "two blocks"),
        (outlier, 4, 8, "one block: the largest weight sets the step of all"),
        (outlier, 8, 4, "8 bits"),
        (weights(256), 4, 64, "normal weights"),
    )
    return tuple(Case(tuple(args), _error(*args), note=note) for *args, note in rows)


EXERCISE = OpenExercise(
    id="round_trip_error",
    title="How much worse are 4 bits than 8?",
    cases=_cases,
    tolerance=1e-5,  # the package's scales have 32 bits
    known_wrong=(
        KnownWrong(
            lambda w, bits, block: float(np.abs(_apart(w, bits, block)).mean()),
            "That is the mean absolute error; wanted is the root of the mean square, relative.",
        ),
        KnownWrong(
            lambda w, bits, block: float(np.sqrt((_apart(w, bits, block) ** 2).mean())),
            "The error is not divided by the root mean square of the weights.",
        ),
        KnownWrong(
            lambda w, bits, block: _error(w, bits, block) ** 2,
            "The root is missing: that is the ratio of the mean squares.",
        ),
        KnownWrong(
            lambda w, bits, block: float(
                np.sqrt((_apart(w, bits, block) ** 2).mean()) / np.abs(w).max()
            ),
            "It is divided by the largest weight; take the root mean square of the weights.",
        ),
        KnownWrong(
            lambda w, bits, block: float(
                np.sqrt((_apart(w, bits, block) ** 2).mean()) / np.abs(w).mean()
            ),
            "It is divided by the mean absolute weight; take the root mean square of the weights.",
        ),
        KnownWrong(
            lambda w, bits, block: float(np.sqrt((_apart(w, bits, block) ** 2).mean()) / np.std(w)),
            "It is divided by the standard deviation, which subtracts the mean of the weights.",
        ),
        KnownWrong(
            lambda w, bits, block: _error(w, bits, len(w)),
            "`block` is not used: all weights share one scale.",
        ),
        KnownWrong(
            lambda w, bits, block: _error(w, 8, block),
            "`bits` is not used: this is the error of 8 bits.",
        ),
        KnownWrong(
            lambda w, bits, block: float(
                np.sqrt((_apart(w, bits, block) ** 2).sum() / (w**2).mean())
            ),
            "The squared errors are summed; take their mean.",
        ),
        KnownWrong(
            lambda w, bits, block: float(np.abs(_apart(w, bits, block)).max()),
            "That is the largest error; wanted is the root of the mean square, relative.",
        ),
    ),
    hints=(
        "quantize_blockwise wants a matrix: w[None] has one row.",
        "dequantize_blockwise(codes, scales, len(w)) reads the row back.",
        "The root of mean((again - w)^2) / mean(w^2).",
    ),
    notice="The step is the largest weight of a block over 7 codes, or over 127: the error grows "
    "by 127 / 7, about 18, whatever the weights. The last bits are cheap in bytes, and they are "
    "the ones that a model may not need.",
    measured=lambda answer: float(answer(weights(), 4, 64) / answer(weights(), 8, 64)),
    example=16.0,
)
