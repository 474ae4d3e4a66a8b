"""Exercise ``pruning_schedule``: the share of zeros at each step."""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _share(step: int, start: int, end: int, target: float) -> float:
    """The right answer: cubic, 0 before and the target after."""
    done = min(max((step - start) / (end - start), 0.0), 1.0)
    return target * (1 - (1 - done) ** 3)


def _done(step: int, start: int, end: int) -> float:
    return min(max((step - start) / (end - start), 0.0), 1.0)


EXERCISE = Exercise(
    id="pruning_schedule",
    title="The share of zeros at each step",
    cases=(
        Case((50, 0, 100, 0.8), 0.7, note="halfway, 7/8 of the target"),
        Case((110, 100, 140, 0.8), 0.8 * (1 - 0.75**3)),
        Case((3, 10, 20, 0.5), 0.0, note="before the start"),
        Case((900, 10, 20, 0.5), 0.5, note="after the end"),
        Case((20, 10, 20, 0.5), 0.5),
    ),
    known_wrong=(
        KnownWrong(
            lambda step, start, end, target: target * _done(step, start, end),
            "That is linear: the cubic schedule prunes much early, and little near the target.",
        ),
        KnownWrong(
            lambda step, start, end, target: target * _done(step, start, end) ** 3,
            "That prunes little early and much late: it is 1 - (1 - x)^3, not x^3.",
        ),
        KnownWrong(
            lambda step, start, end, target: target * (1 - (1 - _done(step, start, end)) ** 2),
            "The exponent of the schedule is 3, not 2.",
        ),
        KnownWrong(
            lambda step, start, end, target: (
                target * (1 - (1 - (step - start) / (end - start)) ** 3)
            ),
            "Before the start and after the end the share must stay: clip x to 0 and 1.",
        ),
        KnownWrong(
            lambda step, start, end, target: target * (1 - (1 - _done(step, 0, end)) ** 3),
            "Progress counts from `start`: (step - start) / (end - start).",
        ),
        KnownWrong(
            lambda step, start, end, target: target * (1 - _done(step, start, end)) ** 3,
            "That falls from the target to 0: it is the share that is still to be pruned.",
        ),
        KnownWrong(
            lambda step, start, end, target: 1 - _share(step, start, end, target),
            "That is the share of weights that remain; return the share of zeros.",
        ),
        KnownWrong(
            lambda step, start, end, target: 1 - (1 - _done(step, start, end)) ** 3,
            "The target is missing: this ends with all weights at 0.",
        ),
    ),
    hints=(
        "x = (step - start) / (end - start) is the progress; clip it to [0, 1].",
        "At x = 0 the share is 0, at x = 1 the target; the slope is steepest at x = 0.",
        "target * (1 - (1 - x)**3).",
    ),
    notice="The first half of the steps prunes seven eighths of the target. The last eighth, of "
    "larger weights, gets the other half of the steps.",
)
