"""Exercise ``keep_latest_events``: keep the latest events, whole."""

from __future__ import annotations

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _latest(person: int, events: list[int], room: int) -> list[int]:
    """The right answer: the longest end of the list that fits."""
    n = len(events)
    first = next((i for i in range(n) if person + sum(events[i:]) <= room), n)
    return events[first:]


def _oldest(person: int, events: list[int], room: int) -> list[int]:
    return _latest(person, events[::-1], room)[::-1]


def _whatever_fits(person: int, events: list[int], room: int) -> list[int]:
    kept: list[int] = []
    left = room - person
    for cost in reversed(events):
        if cost <= left:
            kept.insert(0, cost)
            left -= cost
    return kept


def _filled_up(person: int, events: list[int], room: int) -> list[int]:
    kept = _latest(person, events, room)
    left = room - person - sum(kept)
    return [left, *kept] if left and len(kept) < len(events) else kept


EXERCISE = Exercise(
    id="keep_latest_events",
    title="Keep the latest events, whole",
    cases=(
        Case((10, [12, 9, 14, 8], 40), [14, 8], note="the lesson's"),
        Case((10, [5, 8, 22], 40), [8, 22], note="they fill the room to the last token"),
        Case((10, [5, 8, 7], 40), [5, 8, 7], note="all of them fit"),
        Case((10, [3, 30, 5], 20), [5], note="a long event between short ones"),
        Case((10, [], 20), [], note="no events"),
        Case((10, [5, 12], 20), [], note="not even the latest event fits"),
        Case((20, [5, 1], 20), [], note="the person alone fills the room"),
        Case((25, [5, 1], 20), [], note="the person alone is longer than the room"),
    ),
    known_wrong=(
        KnownWrong(
            _oldest,
            "Kept are the oldest events. What comes next depends on the latest.",
        ),
        KnownWrong(
            lambda person, events, room: _latest(0, events, room),
            "The person's own tokens are forgotten: they stay, and take their part of the room.",
        ),
        KnownWrong(
            _whatever_fits,
            "An older event was kept though a later one fell out: the history has a hole. Stop at "
            "the first that does not fit.",
        ),
        KnownWrong(
            lambda person, events, room: events[-len(_latest(person, events, room)) :],
            "Where nothing fits everything is kept: events[-0:] is the whole list. Cut from the "
            "front, events[len(events) - k :].",
        ),
        KnownWrong(
            lambda person, events, room: _latest(person, events, room) or events[-1:],
            "The latest event is kept though it does not fit: the text is longer than the room.",
        ),
        KnownWrong(
            lambda person, events, room: _latest(person, events, room - 1),
            "What fills the room exactly fits: <=, not <.",
        ),
        KnownWrong(
            _filled_up,
            "The room left over is filled with a part of an event. Events go whole.",
        ),
        KnownWrong(
            lambda person, events, room: _latest(person, events, room)[::-1],
            "The order is reversed: oldest first.",
        ),
    ),
    hints=(
        "Which end of the list do you begin at, and when do you stop?",
        "Drop the oldest event while person + sum(events) is more than room.",
        "Mind the history without events, and the event that fits to the last token.",
    ),
    notice="The package does this with tokens counted once for each text. A model reads fewer "
    "events of a person who met items with long names: the price of text, paid unequally.",
)
