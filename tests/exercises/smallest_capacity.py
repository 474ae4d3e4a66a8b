"""Right answers to ``smallest_capacity``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.cache_hits import _hits
from m6rec_lite.course.exercises.smallest_capacity import _smallest


def _by_search(requests: list[int], share: float) -> int:
    keys = [str(key) for key in requests]
    least, most = 1, max(1, len(set(keys)))
    wanted = share * _hits(keys, most)
    while least < most:
        middle = (least + most) // 2
        if _hits(keys, middle) >= wanted:
            most = middle
        else:
            least = middle + 1
    return least


CORRECT = (_smallest, _by_search)

EQUIVALENT: dict[str, str] = {}
