"""Right answers to ``reverse_ids``, written in other ways."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from m6rec_lite.course.exercises.reverse_ids import _reverse


def _by_search(digests: Sequence[str], candidates: Sequence[int], salt: str) -> list[int | None]:
    found: list[int | None] = []
    for each in digests:
        hits = [
            c
            for c in candidates
            if hashlib.sha256(salt.encode() + str(c).encode()).hexdigest() == each
        ]
        found.append(hits[0] if hits else None)
    return found


CORRECT = (_reverse, _by_search)

EQUIVALENT: dict[str, str] = {}
