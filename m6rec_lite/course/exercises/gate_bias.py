"""Exercise ``gate_bias``: the bias of a gate that keeps a memory for many steps."""

from __future__ import annotations

import math
from collections.abc import Callable

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise


def _tenths(gate: float, rounding: Callable[[float], int] = math.ceil) -> float:
    """The bias of a gate with this value, in steps of .1, at least 0."""
    return max(0, rounding(10 * math.log(gate / (1 - gate)) - 1e-9)) / 10


def _bias(steps: int, share: float) -> float:
    """The right answer: the gate to the power of ``steps`` must be at least ``share``."""
    return _tenths(share ** (1 / steps))


_ROWS = (
    (1, 0.5, "one step: a bias of 0 keeps one half"),
    (2, 0.5, "two steps: a gate of .707 or more"),
    (1, 0.88, "one step: a bias of 2 keeps .8808"),
    (10, 0.9, "ten steps, nine tenths"),
    (100, 0.1, "a hundred steps, one tenth"),
    (3, 0.01, "a small share: a bias of 0 is enough"),
)

EXERCISE = OpenExercise(
    id="gate_bias",
    title="How large must the bias of a gate be?",
    cases=tuple(Case((n, share), _bias(n, share), note=note) for n, share, note in _ROWS),
    known_wrong=(
        KnownWrong(
            lambda steps, share: _tenths(share),
            "That keeps the share for one step. After n steps the gate has been multiplied n "
            "times.",
        ),
        KnownWrong(
            lambda steps, share: share ** (1 / steps),
            "That is the value of the gate; wanted is its bias, which a sigmoid turns into it.",
        ),
        KnownWrong(
            lambda steps, share: max(0.0, _bias(steps, share) - 0.1),
            "One tenth too small: return the first bias that keeps the share, not the last that "
            "does not.",
        ),
        KnownWrong(
            lambda steps, share: _bias(steps, share) + 0.1,
            "One tenth too large: a smaller bias keeps the share as well.",
        ),
        KnownWrong(
            lambda steps, share: _tenths(1 - (1 - share) / steps),
            "Steps multiply: the losses of the steps do not add up to 1 - share.",
        ),
        KnownWrong(
            lambda steps, share: max(
                0.0, math.log(share ** (1 / steps) / (1 - share ** (1 / steps)))
            ),
            "The formula is right, and not rounded up to a multiple of .1.",
        ),
        KnownWrong(
            lambda steps, share: _tenths(share ** (1 / steps)) * 10,
            "That counts tenths: divide by 10.",
        ),
        KnownWrong(
            lambda steps, share: _tenths((1 - share) ** (1 / steps)) if share < 1 else 0.0,
            "That keeps 1 - share: share is what must be left, not what may be lost.",
        ),
    ),
    hints=(
        "What does kept(0, 1) return, and why?",
        "Try 0, .1, .2, … and stop at the first bias that keeps enough.",
        "while kept(tenths / 10, steps) < share: tenths += 1",
    ),
    notice="To keep half for n steps, the gate must be near 1 - .69 / n: the bias grows with ln n. "
    "A fresh gate of one half keeps half for one step.",
    measured=lambda answer: float(answer(50, 0.5)),
    example=4.0,
)
