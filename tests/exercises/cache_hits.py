"""Right answers to ``cache_hits``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.cache_hits import _hits


def _by_list(requests: list[str], capacity: int) -> int:
    held: list[str] = []
    hits = 0
    for key in requests:
        if key in held:
            hits += 1
            held.remove(key)
        held = [*held, key][-capacity:]
    return hits


def _by_distance(requests: list[str], capacity: int) -> int:
    hits = 0
    for i, key in enumerate(requests):
        before = [j for j in range(i) if requests[j] == key]
        hits += bool(before) and len(set(requests[before[-1] + 1 : i])) < capacity
    return hits


CORRECT = (_hits, _by_list, _by_distance)

EQUIVALENT: dict[str, str] = {}
