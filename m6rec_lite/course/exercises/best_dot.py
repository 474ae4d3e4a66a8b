"""Exercise ``best_dot``: the dot product at which the skip-gram loss is smallest."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise


def _best(p: float, q: float, k: int) -> float:
    """The right answer, where the derivative is 0."""
    return float(np.log(p / (k * q)))


def _loss(x: float, p: float, q: float, k: int) -> float:
    return float(p * np.logaddexp(0, -x) + k * q * np.logaddexp(0, x))


EXERCISE = OpenExercise(
    id="best_dot",
    title="What does the number of negatives change?",
    cases=tuple(
        Case(args=(p, q, k), expected=_best(p, q, k), note=note)
        for p, q, k, note in (
            (0.1, 0.01, 1, "ten times as frequent as among the negatives"),
            (0.02, 0.02, 1, "exactly as frequent"),
            (0.1, 0.01, 20, "twenty negatives"),
            (0.001, 0.02, 3, "rarer than among the negatives"),
        )
    ),
    known_wrong=(
        KnownWrong(
            lambda p, q, k: float(np.log(p / q)),
            "That is the lift ln(p / q), right for one negative. With k negatives the second part "
            "of the loss weighs k times as much.",
        ),
        KnownWrong(
            lambda p, q, k: float(np.log(p * k / q)),
            "More negatives push the dot product down, not up: k belongs to q.",
        ),
        KnownWrong(
            lambda p, q, k: p / (k * q),
            "That is the ratio p / (k q). At the smallest loss the dot product is its logarithm.",
        ),
        KnownWrong(
            lambda p, q, k: float(np.log2(p / (k * q))),
            "That is a logarithm to base 2. The sigmoid has e, so the natural one.",
        ),
        KnownWrong(
            lambda p, q, k: _loss(_best(p, q, k), p, q, k),
            "That is the smallest *loss*. Return the x at which the loss has it.",
        ),
        KnownWrong(
            lambda p, q, k: -_best(p, q, k),
            "The sign is turned: a pair that is more frequent than among the negatives has a dot "
            "product above 0.",
        ),
        KnownWrong(
            lambda p, q, k: p / (p + k * q),
            "That is the sigmoid at the smallest loss, a probability. Return x itself.",
        ),
        KnownWrong(
            lambda p, q, k: float(np.log(p / k)),
            "q is missing: how frequent j is among the negatives decides what p is compared with.",
        ),
    ),
    hints=(
        "Draw the loss against x. How many minima has it?",
        "scipy.optimize.minimize_scalar(lambda x: loss(x, p, q, k)).x finds it.",
        "Or by hand: the derivative is -p sigmoid(-x) + k q sigmoid(x); where is it 0?",
    ),
    notice="x = ln(p / q) - ln k. The number of negatives shifts all dot products by the same "
    "amount, which no ranking sees; the lift is what is learned.",
    tolerance=0.01,
    measured=lambda answer: float(answer(0.1, 0.01, 5)),
    example=2.0,
)
