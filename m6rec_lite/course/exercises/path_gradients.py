"""Exercise ``path_gradients``: integrated gradients from a function that returns the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Gradient = Callable[[np.ndarray], np.ndarray]


def _mean_gradient(
    gradient: Gradient, x: np.ndarray, baseline: np.ndarray, steps: int, shift: float = 0.5
) -> np.ndarray:
    """Mean gradient on the line from the baseline to x, at points ``(step + shift) / steps``."""
    shares = (np.arange(steps) + shift) / steps
    return np.mean([gradient(baseline + share * (x - baseline)) for share in shares], axis=0)


def _parts(
    gradient: Gradient, x: np.ndarray, baseline: np.ndarray, steps: int, shift: float = 0.5
) -> np.ndarray:
    """The right answer, if ``shift`` is one half."""
    return ((x - baseline) * _mean_gradient(gradient, x, baseline, steps, shift)).sum(axis=1)


def of_squares(x: np.ndarray) -> np.ndarray:
    """Gradient of the sum of x ** 2."""
    return 2 * x


def of_capped_sum(x: np.ndarray) -> np.ndarray:
    """Gradient of min(1, sum of x)."""
    return np.full(x.shape, float(x.sum() < 1))


def of_cube(x: np.ndarray) -> np.ndarray:
    """Gradient of (sum of x) ** 3."""
    return np.full(x.shape, 3 * x.sum() ** 2)


def _cases() -> tuple[Case, ...]:
    two = np.array([[0.8], [0.6]])
    wide = np.array([[1.0, -2.0, 0.5], [0.5, 1.0, 2.0]])
    rows: tuple[tuple[Any, ...], ...] = (
        (of_capped_sum, two, np.zeros((2, 1)), 7, "the lesson's: min(1, a + b)"),
        (of_squares, wide, np.zeros((2, 3)), 1, "one step: the middle of the line"),
        (of_cube, wide, np.ones((2, 3)), 4, "a baseline that is not zero"),
        (of_squares, wide.T, np.full((3, 2), 0.5), 3, "three events of two numbers"),
    )
    return tuple(Case(row[:4], _parts(*row[:4]), note=row[4]) for row in rows)


EXERCISE = Exercise(
    id="path_gradients",
    title="Integrated gradients",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda gradient, x, baseline, steps: (gradient(x) * x).sum(axis=1),
            "That is gradient times input: one gradient, at the end of the line. Where a score is "
            "saturated it is 0.",
        ),
        KnownWrong(
            lambda gradient, x, baseline, steps: _parts(gradient, x, baseline, steps, 0.0),
            "The points are the left ends of the steps. Wanted are the middles: "
            "(step + 0.5) / steps.",
        ),
        KnownWrong(
            lambda gradient, x, baseline, steps: _parts(gradient, x, baseline, steps, 1.0),
            "The points are the right ends of the steps. Wanted are the middles: "
            "(step + 0.5) / steps.",
        ),
        KnownWrong(
            lambda gradient, x, baseline, steps: _mean_gradient(gradient, x, baseline, steps).sum(
                axis=1
            ),
            "The mean gradient says how steep the score is. Multiply it by how far each number "
            "went: x - baseline.",
        ),
        KnownWrong(
            lambda gradient, x, baseline, steps: (
                x * _mean_gradient(gradient, x, baseline, steps)
            ).sum(axis=1),
            "The factor is x. A line from the baseline goes as far as x - baseline.",
        ),
        KnownWrong(
            lambda gradient, x, baseline, steps: (
                (x - baseline) * _mean_gradient(gradient, x, 0 * x, steps)
            ).sum(axis=1),
            "The points lie between 0 and x, whatever the baseline: begin at the baseline.",
        ),
        KnownWrong(
            lambda *args: _parts(*args) * args[3],
            "The gradients are summed over the steps. Wanted is their mean.",
        ),
        KnownWrong(
            lambda gradient, x, baseline, steps: (
                (x - baseline) * _mean_gradient(gradient, x, baseline, steps)
            ),
            "One number for each entry. An event is a whole row: sum over axis 1.",
        ),
        KnownWrong(
            lambda gradient, x, baseline, steps: (
                (x - baseline) * _mean_gradient(gradient, x, baseline, steps)
            ).sum(axis=0),
            "The sum runs over the events. Wanted is one number for each event (row).",
        ),
    ),
    hints=(
        "Where on the line from baseline to x is the middle of step 0 of 4?",
        "Add gradient(baseline + share * (x - baseline)) for share = (step + 0.5) / steps.",
        "((x - baseline) * total / steps).sum(axis=1).",
    ),
    notice="With enough steps the parts add up to the score of x less that of the baseline, "
    "whatever the function: so nothing is left unexplained, and nothing is explained twice.",
)
