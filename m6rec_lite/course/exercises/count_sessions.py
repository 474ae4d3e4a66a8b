"""Exercise ``count_sessions``: sittings in a history."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_MINUTE = 60

EXERCISE = Exercise(
    id="count_sessions",
    title="Sittings in a history",
    cases=(
        Case(
            args=([0, 5 * _MINUTE, 7 * _MINUTE],), expected=1, note="three events, close together"
        ),
        Case(args=([0, 5 * _MINUTE, 90 * _MINUTE, 95 * _MINUTE],), expected=2),
        Case(args=([1790, 1810],), expected=1, note="before and after half past"),
        Case(args=([0, 1800, 3600],), expected=1, note="gaps of exactly half an hour"),
        Case(args=([0, 40 * _MINUTE],), expected=2, note="forty minutes apart"),
        Case(args=([86_400, 0, 60],), expected=2, note="not in order"),
        Case(args=([0, 5000, 100],), expected=2, note="not in order"),
        Case(args=([86_400],), expected=1, note="a single event"),
        Case(args=([],), expected=0, note="a new shopper"),
        Case(args=([0, 10, 20],), kwargs={"pause": 5}, expected=3),
    ),
    known_wrong=(
        KnownWrong(
            lambda times, pause=1800: int((np.diff(np.sort(times)) > pause).sum()),
            "That counts the pauses. One long pause separates two sittings: add one (unless the "
            "history is empty).",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.diff(np.sort(times)) >= pause).sum())
            ),
            "A gap of exactly `pause` seconds does not begin a new sitting: `>`, not `>=`.",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.diff(times) > pause).sum())
            ),
            "The events need not come in order. Sort the timestamps before taking differences.",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.abs(np.diff(times)) > pause).sum())
            ),
            "The absolute value hides that the events are not in order: from 5000 back to 100 is "
            "no pause. Sort the timestamps first.",
        ),
        KnownWrong(
            lambda times, pause=1800: len({time // (pause + 1) for time in times}),
            "Those are stretches of the clock that hold an event. Two events a minute apart may "
            "lie in two of them: look at the gaps between events.",
        ),
        KnownWrong(
            lambda times, pause=1800: len({time // pause for time in times}),
            "Those are the half hours of the clock that hold an event. Two events a minute apart "
            "may lie in two of them: look at the gaps between events.",
        ),
        KnownWrong(
            lambda times, pause=1800: 1 + int((np.diff(np.sort(times)) > pause).sum()),
            "A history without events has no sitting: answer 0 for an empty list.",
        ),
        KnownWrong(
            lambda times, pause=1800: (
                0 if len(times) == 0 else 1 + int((np.diff(np.sort(times)) > pause * 60).sum())
            ),
            "Timestamps are unix seconds, and so is `pause`: nothing has to be multiplied by 60.",
        ),
    ),
    hints=(
        "np.diff of the sorted timestamps gives the gaps between neighbours, in seconds.",
        "How many gaps are longer than `pause`? Each of them begins a new sitting.",
        "One more than that, unless there are no events at all.",
    ),
    notice="Half an hour is a convention, not a truth: try other pauses on a real history. What "
    "happens within a sitting hangs together far more than what happens across two.",
)
