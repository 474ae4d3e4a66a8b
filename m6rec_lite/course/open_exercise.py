'''Open exercises: predict, change a setting, measure; the check measures again and compares.

The notebook has three cells. The first stores the prediction, before anything is measured; the
second is the learner's measurement; the third checks it::

    ### BEGIN SOLUTION
    prediction = 8.0
    ### END SOLUTION
    course.predict("summed_step", prediction)

    # exercise summed_step
    def summed_step(rows):
        """Gradient of the summed loss over that of the mean."""
        ### BEGIN SOLUTION
        …
        ### END SOLUTION

    course.exercise("summed_step").check(summed_step)

The module of the exercise declares an ``OpenExercise`` as ``exercises.engine`` describes, with two
arguments more::

    EXERCISE = OpenExercise(
        id="summed_step",
        …
        cases=_cases,                              # measurements at several settings
        measured=lambda answer: answer(64),        # the one that was to be predicted
        example=64.0,                              # a prediction, for the tests
    )

The answer is checked against the cases first, which are measured again by the check. Only when it
is right is the prediction compared, so that a wrong measurement reveals nothing.
'''

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from m6rec_lite.course.exercises.engine import CORRECT, NOT_ATTEMPTED, Exercise, Verdict
from m6rec_lite.course.predictions import Value, predict, settle


@dataclass(frozen=True, kw_only=True)
class OpenExercise(Exercise):
    """An exercise whose measurement is predicted before; see the module.

    Attributes:
        measured: returns, from a correct answer, the value that was to be predicted.
        example: a prediction, for the tests.
    """

    measured: Callable[[Any], Value]
    example: Value

    def grade(self, answer: Any) -> Verdict:
        """Return the verdict on a measurement, and compare it with the stored prediction."""
        verdict = super().grade(answer)
        if verdict.outcome != CORRECT:
            return verdict
        if predict(self.id) is None:
            return Verdict(
                NOT_ATTEMPTED,
                "the measurement is right, but there is no prediction to compare it with: run the "
                f'cell with course.predict("{self.id}", …), then check again',
            )
        return Verdict(CORRECT, f"{settle(self.id, self.measured(answer))} {self.notice}")
