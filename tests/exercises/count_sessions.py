"""Right answers to ``count_sessions``, written in other ways."""

from __future__ import annotations

import numpy as np


def _in_a_loop(times: list[int], pause: int = 1800) -> int:
    count, before = 0, None
    for now in sorted(times):
        count += before is None or now - before > pause
        before = now
    return count


def _by_differences(times: list[int], pause: int = 1800) -> np.int64:
    """The first event always begins a session."""
    return (np.diff(np.sort(times), prepend=-np.inf) > pause).sum()


CORRECT = (_in_a_loop, _by_differences)
