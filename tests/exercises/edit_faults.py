"""Right answers to ``edit_faults``, written in other ways."""

from __future__ import annotations

from itertools import combinations

from m6rec_lite.course.exercises.edit_faults import _edit_faults


def _by_pairs(original: list[int], edited: list[int], target: int) -> set[str]:
    faults = set()
    if len(edited) == 0:
        faults.add("empty")
    if any(item not in original and item != target for item in edited):
        faults.add("foreign")
    if edited.count(target):
        faults.add("leak")
    if any(edited.count(item) > 1 for item in edited):
        faults.add("repeated")
    for first, second in combinations([item for item in edited if item in original], 2):
        if original.index(first) > original.index(second):
            faults.add("order")
    return faults


CORRECT = (_edit_faults, _by_pairs)

EQUIVALENT: dict[str, str] = {}
