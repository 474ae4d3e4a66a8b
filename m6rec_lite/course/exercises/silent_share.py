"""Open exercise ``silent_share``: how many dates does a month-first reader get wrong?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

YEAR = [date(2023, 1, 1) + timedelta(days=n) for n in range(365)]


def _share(days: Sequence[date]) -> float:
    """The right answer: another day, and no error."""
    return sum(day.day <= 12 and day.day != day.month for day in days) / len(days)


_CASES = (
    ([date(2023, 4, 5), date(2023, 4, 25)], "one of them has no month 25"),
    ([date(2023, 12, 12), date(2023, 12, 11), date(2023, 12, 13)], "the twelfth month"),
    (YEAR[:59], "January and February"),
    (YEAR[100:200:7], "every seventh day"),
)

EXERCISE = OpenExercise(
    id="silent_share",
    title="Predict and measure: wrong without an error",
    data={"year": YEAR},
    cases=tuple(Case((days,), _share(days), note=note) for days, note in _CASES),
    known_wrong=(
        KnownWrong(
            lambda days: sum(day.day <= 12 for day in days) / len(days),
            "The fifth of May is 05.05. in either order: it is read rightly.",
        ),
        KnownWrong(
            lambda days: sum(day.day != day.month for day in days) / len(days),
            "The 25th has no month 25, so the reader falls back to day first and is right.",
        ),
        KnownWrong(
            lambda days: sum(day.day > 12 for day in days) / len(days),
            "Those are the days that are read rightly, since they cannot be months.",
        ),
        KnownWrong(
            lambda days: sum(day.day < 12 and day.day != day.month for day in days) / len(days),
            "The 12th of a month can be read as December. It belongs to the doubtful days.",
        ),
        KnownWrong(
            lambda days: 1 - _share(days),
            "That is the share that is read rightly.",
        ),
        KnownWrong(
            lambda days: sum(day.day <= 12 and day.day != day.month for day in days),
            "That is a number of days. Wanted is their share.",
        ),
        KnownWrong(
            lambda days: sum(day.day <= 12 and day.day < day.month for day in days) / len(days),
            "Only days that are read too late in the year are counted. Those that are read too "
            "early are wrong as well.",
        ),
    ),
    hints=(
        "When can 05.04. be read in two ways, and 25.04. in one?",
        "A day above 12 cannot be a month. A day equal to its month is the same in both orders.",
    ),
    notice="Over a third of the days of a year, and no error: the reader falls back to day first "
    "for the others, so the column looks whole.",
    measured=lambda answer: float(answer(YEAR)),
    example=0.3,
)
