"""Exercise ``project_conflict``: a gradient without its component against another."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _always(g: np.ndarray, other: np.ndarray) -> np.ndarray:
    return g - (g @ other) / (other @ other) * other


def _when(conflict: bool, result: np.ndarray, g: np.ndarray) -> np.ndarray:
    return result if conflict else g


_A, _B = np.array([1.0, 0.0]), np.array([-1.0, 1.0])

EXERCISE = Exercise(
    id="project_conflict",
    title="A gradient without its component against another",
    cases=(
        Case((_A, _B), np.array([0.5, 0.5]), note="the lesson's"),
        Case((_B, _A), np.array([0.0, 1.0])),
        Case((np.array([1.0, 2.0]), np.array([3.0, 1.0])), np.array([1.0, 2.0]), note="they agree"),
        Case((np.array([0.5, 0.0]), np.array([1.0, 1.0])), np.array([0.5, 0.0]), note="a little"),
        Case(
            (np.array([2.0, -1.0, 0.0]), np.array([-2.0, -2.0, 1.0])),
            np.array([14.0, -13.0, 2.0]) / 9,
            note="product -2, squared length 9",
        ),
        Case((np.array([0.0, 3.0]), np.array([2.0, 0.0])), np.array([0.0, 3.0]), note="orthogonal"),
    ),
    known_wrong=(
        KnownWrong(
            _always,
            "Agreement is removed too. Project only where the product is negative: what two tasks "
            "both want should stay.",
        ),
        KnownWrong(
            lambda g, other: _when(g @ other < 0, g - (g @ other) * other, g),
            "The component is (g · other) / |other|² times other: without the squared length, a "
            "longer gradient removes more than is there.",
        ),
        KnownWrong(
            lambda g, other: _when(
                g @ other < 0, g - (g @ other) / np.linalg.norm(other) * other, g
            ),
            "Divide by the *squared* length of other, other @ other.",
        ),
        KnownWrong(
            lambda g, other: _when(g @ other < 0, g + (g @ other) / (other @ other) * other, g),
            "The component is added, so the conflict doubles. Subtract it.",
        ),
        KnownWrong(
            lambda g, other: _when(g @ other < 0, np.zeros_like(g), g),
            "The whole gradient is dropped. Only its component against the other one has to go.",
        ),
        KnownWrong(
            lambda g, other: _when(g @ other < 0, g - (g @ other) / (g @ g) * g, g),
            "The component along *other* has to go, and this one is along g itself.",
        ),
    ),
    hints=(
        "If the product of the two is at least 0, there is nothing to do.",
        "The component of g along other is (g · other) / (other · other) times other.",
        "Subtract that component; the result is orthogonal to other.",
    ),
    notice="After the projection the product is exactly 0: to first order the step no longer "
    "changes the other task's loss.",
)
