"""Exercise ``read_back``: weights in few bits, and back."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _read_back(w: np.ndarray, bits: int, block: int) -> np.ndarray:
    """The right answer: absmax in each block."""
    most = 2 ** (bits - 1) - 1
    parts = w.reshape(-1, block)
    scale = np.abs(parts).max(axis=1, keepdims=True) / most
    codes = np.round(np.divide(parts, scale, out=np.zeros_like(parts), where=scale > 0))
    return (codes * scale).reshape(w.shape)


def _coded(w: np.ndarray, scale: np.ndarray, rounding=np.round) -> np.ndarray:
    safe = np.where(scale > 0, scale, 1.0)
    return (rounding(w / safe) * scale).reshape(-1)


def _scale(w: np.ndarray, most: float, block: int) -> np.ndarray:
    return np.repeat(np.abs(w.reshape(-1, block)).max(axis=1) / most, block)


_W = np.array([0.7, -0.36, 0.04, 0.0, -7.0, 2.6, -5.4, 1.0])
_ZEROS = np.array([0.0, 0.0, 0.5, -0.2])


EXERCISE = Exercise(
    id="read_back",
    title="Weights in few bits, and back",
    cases=(
        Case((_W, 4, 4), _read_back(_W, 4, 4), note="two blocks, each with a scale of its own"),
        Case((_W, 4, 8), _read_back(_W, 4, 8), note="one block"),
        Case((_W, 8, 4), _read_back(_W, 8, 4)),
        Case((_ZEROS, 4, 2), _read_back(_ZEROS, 4, 2), note="a block of zeros"),
    ),
    known_wrong=(
        KnownWrong(
            lambda w, bits, block: _coded(w, _scale(w, 2 ** (bits - 1) - 1, len(w))),
            "One scale for all weights: each block has the scale of its own largest weight.",
        ),
        KnownWrong(
            lambda w, bits, block: _coded(w, _scale(w, 2 ** (bits - 1), block)),
            "The largest code is 2^(b-1) - 1: one bit is the sign, and 0 takes a code too.",
        ),
        KnownWrong(
            lambda w, bits, block: _coded(w, _scale(w, 2**bits - 1, block)),
            "The sign takes one of the bits: codes run from -(2^(b-1) - 1) to 2^(b-1) - 1.",
        ),
        KnownWrong(
            lambda w, bits, block: _coded(w, _scale(w, 2 ** (bits - 1) - 1, block), np.floor),
            "The codes are rounded down: an error of up to a step. Round to the nearest.",
        ),
        KnownWrong(
            lambda w, bits, block: _coded(w, _scale(w, 2 ** (bits - 1) - 1, block), np.trunc),
            "The codes are cut towards 0 (as astype(int) does). Round to the nearest.",
        ),
        KnownWrong(
            lambda w, bits, block: (
                _coded(w, np.ones_like(w) * _scale(w, 2 ** (bits - 1) - 1, block))
                / np.where(
                    _scale(w, 2 ** (bits - 1) - 1, block) > 0,
                    _scale(w, 2 ** (bits - 1) - 1, block),
                    1.0,
                )
            ),
            "Those are the codes; multiply them by the scale of their block.",
        ),
        KnownWrong(
            lambda w, bits, block: _coded(
                w,
                np.repeat(
                    np.maximum(w.reshape(-1, block).max(axis=1), 0.0) / (2 ** (bits - 1) - 1), block
                ),
            ),
            "The scale is that of the largest weight, not of the largest absolute value.",
        ),
        KnownWrong(
            lambda w, bits, block: (
                _read_back(w, bits, block)
                * np.where(
                    np.repeat(np.abs(w.reshape(-1, block)).max(axis=1), block) > 0, 1.0, np.nan
                )
            ),
            "A block of zeros has the scale 0, and 0 / 0 is NaN: give it the code 0.",
        ),
    ),
    hints=(
        "w.reshape(-1, block) has a row for each block.",
        "The scale of a block: its largest absolute weight, divided by the largest code.",
        "Codes are np.round(w / scale); read back, they are codes * scale. Mind a scale of 0.",
    ),
    notice="The error is at most half a step, and the step is set by the largest weight of the "
    "block: a single outlier makes all others of its block coarse. Smaller blocks confine it, and "
    "cost more scales.",
)
