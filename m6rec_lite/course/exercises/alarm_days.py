"""Exercise ``alarm_days``: an alarm that starts again after it has rung."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Rule = Callable[[np.ndarray, float, float, float, float], list[int]]


def _with(
    *,
    restarts: bool = True,
    floor: float = 0.0,
    at_threshold: bool = False,
    sums: bool = True,
    sided: Callable[[float], float] = float,
    scaled: bool = True,
    allowed: bool = True,
    start: int = 0,
) -> Rule:
    """The rule; with other arguments, a wrong one."""

    def rule(
        values: np.ndarray, mean: float, deviation: float, allowance: float, threshold: float
    ) -> list[int]:
        total, days = 0.0, []
        for day, value in enumerate(values, start):
            step = sided((value - mean) / (deviation if scaled else 1.0))
            step -= allowance if allowed else 0.0
            total = max(floor, (total if sums else 0.0) + step)
            if total > threshold or (at_threshold and total == threshold):
                days.append(day)
                total = 0.0 if restarts else total
        return days

    return rule


_alarm_days = _with()


def _first_only(*args: Any) -> list[int]:
    return _alarm_days(*args)[:1]


def _cases() -> tuple[Case, ...]:
    days = np.array([3.0, 2.0, 3.0, 3.0, 3.0, 3.0])
    dip = np.array([1.0, -9.0, 4.0, 4.0, 4.0, 0.0, 4.0])
    drawn = np.random.default_rng(0).normal(2.3, 1.0, 40)
    rows: tuple[tuple[Any, ...], ...] = (
        (days, 2.0, 1.0, 0.5, 0.75, "it rings, starts again, and rings"),
        (days, 2.0, 1.0, 0.5, 0.5, "a sum that is equal to the threshold"),
        (np.array([4.0, 2.0, 4.0]), 2.0, 1.0, 0.5, 0.75, "an alarm on the first day"),
        (dip, 1.0, 2.0, 0.5, 1.75, "a very good day before the bad ones"),
        (np.array([0.0, 0.0, 9.0, 0.0]), 5.0, 2.0, 0.0, 1.0, "low days are no alarm"),
        (np.full(5, 2.0), 2.0, 0.5, 0.25, 1.0, "nothing happens"),
        (drawn, 2.0, 0.8, 0.5, 2.0, "forty days"),
    )
    return tuple(Case((*args,), _alarm_days(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="alarm_days",
    title="An alarm that starts again",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _with(restarts=False),
            "After an alarm the sum goes on, so it rings every day until it has fallen. Set it to "
            "0.",
        ),
        KnownWrong(
            _with(floor=-np.inf),
            "The sum may fall below 0: one very good day then hides many bad ones. Cut it at 0.",
        ),
        KnownWrong(
            _with(at_threshold=True),
            "It rings at the threshold; it must ring *above* it: >, not >=.",
        ),
        KnownWrong(
            _with(sums=False),
            "Each day is judged by itself. CUSUM adds up: the total of yesterday is missing.",
        ),
        KnownWrong(
            _with(sided=abs),
            "Low days count like high ones: the sign of the deviation must stay.",
        ),
        KnownWrong(
            _with(scaled=False),
            "The excess is not divided by the deviation. The threshold is in standard deviations.",
        ),
        KnownWrong(
            _with(allowed=False),
            "The allowance is not subtracted: on usual days the sum then drifts up by chance.",
        ),
        KnownWrong(_with(start=1), "Days count from 0: the first value is day 0."),
        KnownWrong(_first_only, "It stops at the first alarm. Every alarm is wanted."),
    ),
    hints=(
        "Keep one number, the total, and go through the days once.",
        "total = max(0, total + (value - mean) / deviation - allowance).",
        "If total > threshold: append the day and set total to 0.",
    ),
    notice="In the fourth case one very good day does not delay the alarm, since the sum is cut at "
    "0.",
)
