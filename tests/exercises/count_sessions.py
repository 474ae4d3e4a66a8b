"""Right answers to ``count_sessions``, written in other ways."""

from __future__ import annotations


def _sittings_loop(times: list[int], pause: int = 1800) -> int:
    count, before = 0, None
    for now in sorted(times):
        count += before is None or now - before > pause
        before = now
    return count


CORRECT = (_sittings_loop,)
