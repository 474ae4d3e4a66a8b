"""Right answers to ``keep_latest_events``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.keep_latest_events import _latest


def _backwards(person: int, events: list[int], room: int) -> list[int]:
    kept: list[int] = []
    for cost in reversed(events):
        if person + sum(kept) + cost > room:
            break
        kept.insert(0, cost)
    return kept


CORRECT = (_latest, _backwards)
