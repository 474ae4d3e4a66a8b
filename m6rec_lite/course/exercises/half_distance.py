"""Open exercise ``half_distance``: how fast rotary products fall with the distance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Distance = Callable[[int, float], int]

#: No distance of the cases is as large; a wrong form may never reach one half.
_FAR = 3_000


def _first(
    frequencies: Callable[[int, float], np.ndarray],
    wave: Callable[[np.ndarray], np.ndarray] = np.cos,
    below: float = 0.5,
) -> Distance:
    """Return the first distance at which the mean product is below ``below``; ``_FAR`` if none."""

    def distance(d: int, base: float) -> int:
        waves = frequencies(d, base)
        for steps in range(1, _FAR):
            if wave(steps * waves).mean() < below:
                return steps
        return _FAR

    return distance


def _frequencies(d: int, base: float) -> np.ndarray:
    """Return the ``(d / 2,)`` angles of one step."""
    return base ** (-2 * np.arange(d // 2) / d)


RIGHT = _first(_frequencies)

_SETTINGS = (
    (2, 10_000.0, "one pair of dimensions: cos t < 1/2 at t = 2, since cos 1 = .54"),
    (4, 100.0, "two pairs, with angles of 1 and 1/10 a step"),
    (32, 10_000.0, ""),
    (64, 500_000.0, "a base as in long-context models"),
    (128, 100.0, "a small base"),
)

EXERCISE = OpenExercise(
    id="half_distance",
    title="Predict and measure: rotary positions and distance",
    cases=tuple(Case((d, base), RIGHT(d, base), note=note) for d, base, note in _SETTINGS),
    known_wrong=(
        KnownWrong(
            _first(lambda d, base: base ** (-np.arange(d // 2) / d)),
            "The exponent lacks the factor 2: the frequencies then end at the root of the base.",
        ),
        KnownWrong(
            _first(lambda d, base: base ** (-2 * np.arange(d) / d)),
            "There is one frequency for each pair of dimensions: d / 2 of them, not d.",
        ),
        KnownWrong(
            _first(lambda d, base: base ** (-2 * np.arange(1, d // 2 + 1) / d)),
            "The pairs count from 0: the first turns by 1 radian a step.",
        ),
        KnownWrong(
            _first(lambda d, base: base ** (2 * np.arange(d // 2) / d)),
            "The angles grow along the dimensions. They shrink: the exponent is negative.",
        ),
        KnownWrong(
            lambda d, base: RIGHT(d, base) - 1,
            "Off by one: that is the last distance at which one half is still reached.",
        ),
        KnownWrong(
            _first(_frequencies, below=0.0),
            "That is where the mean falls below 0. Asked is one half of the product at distance 0.",
        ),
        KnownWrong(
            _first(lambda d, base: np.radians(_frequencies(d, base))),
            "The angles are radians, and are taken for degrees here.",
        ),
        KnownWrong(
            _first(_frequencies, wave=lambda x: 1 - np.sin(x)),
            "The product of two rotated vectors is the cosine of the difference of their angles.",
        ),
    ),
    hints=(
        "Pair i turns by base ** (-2 * i / d) radians a step, for i = 0, …, d / 2 - 1.",
        "The product at a distance t, over that at 0, is np.cos(t * frequencies).mean().",
        "Count t up from 1 until that mean is below 1 / 2.",
    ),
    notice="With a base of 10,000 the distance is 16 for d = 32 and 28 for d = 64; with d = 64 and "
    "a base of 500,000 it is 78. Models for long texts use large bases.",
    measured=lambda answer: float(answer(64, 10_000.0)),
    example=50.0,
)
