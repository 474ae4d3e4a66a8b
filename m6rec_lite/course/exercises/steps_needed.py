"""Exercise ``steps_needed``: how many more steps descent needs than momentum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise


def _steps(
    *,
    average: bool = False,
    nesterov: bool = False,
    forget: bool = False,
    share: Callable[[float, float], float] = lambda loss, first: loss / first,
    first: int = 0,
) -> Callable[..., int]:
    """Count steps, with the usual mistakes as options."""

    def steps_needed(curvatures, eta, rho, below):
        theta, d = np.ones(len(curvatures)), np.zeros(len(curvatures))
        start = 0.5 * float(curvatures @ theta**2)
        for step in range(10_000):
            if share(0.5 * float(curvatures @ theta**2), start) < below:
                return step + first
            g = curvatures * theta
            d = g if forget else rho * d + (1 - rho if average else 1) * g
            theta = theta - eta * (g + rho * d if nesterov else d)
        return 10_000

    return steps_needed


def _climbing(curvatures, eta, rho, below):
    return _steps()(curvatures, -eta, rho, below)


RAVINE = np.array([1.0, 100.0])
#: Rates that are best for a quadratic with curvatures 1 and 100 (Polyak, 1964).
DESCENT = (RAVINE, 2 / 101, 0.0, 1e-6)
MOMENTUM = (RAVINE, (2 / 11) ** 2, (9 / 11) ** 2, 1e-6)

_CASES = (
    (np.array([1.0]), 0.5, 0.0, 0.01),
    (np.array([1.0, 10.0]), 0.15, 0.0, 1e-3),
    (np.array([1.0, 10.0]), 0.1, 0.5, 1e-3),
    (np.array([2.0, 5.0, 20.0]), 0.04, 0.8, 1e-4),
    (np.array([1.0]), 0.1, 0.9, 0.5),
    (np.array([1.0]), 0.5, 0.0, 1.5),
)

EXERCISE = OpenExercise(
    id="steps_needed",
    title="How many more steps does descent need than momentum?",
    cases=tuple(Case(args, _steps()(*args)) for args in _CASES),
    known_wrong=(
        KnownWrong(
            _steps(forget=True), "rho is not used: this is plain descent. d <- rho * d + g."
        ),
        KnownWrong(
            _steps(average=True),
            "The gradient is multiplied by 1 - rho, as in Adam's m. In momentum d <- rho * d + g.",
        ),
        KnownWrong(
            _steps(nesterov=True), "That is Nesterov's step; momentum takes theta - eta * d."
        ),
        KnownWrong(
            _steps(first=1),
            "One too many: a loss that is below at the start needs 0 steps.",
        ),
        KnownWrong(
            _steps(share=lambda loss, start: loss),
            "The loss is compared with `below` itself; wanted is its share of the loss at the "
            "start.",
        ),
        KnownWrong(
            _steps(share=lambda loss, start: (loss / start) ** 0.5),
            "That is the share of the distance or of a root; compare the losses.",
        ),
        KnownWrong(_climbing, "Your step climbs: the sign before eta is a minus."),
    ),
    hints=(
        "Start at theta = ones, d = zeros. The loss is 0.5 * sum(curvatures * theta**2).",
        "The gradient is curvatures * theta; d = rho * d + g; theta = theta - eta * d.",
        "Before each step compare loss / first loss with `below`; return the number of steps.",
    ),
    notice="At the best settings descent shrinks the error by 99/101 a step and momentum by about "
    "9/11: the number of steps grows with the ratio of the curvatures, or only with its root.",
    measured=lambda answer: float(answer(*DESCENT) / answer(*MOMENTUM)),
    example=10.0,
)
