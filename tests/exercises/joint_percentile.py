"""Right answers to ``joint_percentile``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.joint_percentile import _answer


def _by_numpy(servers: list[np.ndarray], q: float) -> float:
    return float(np.percentile(np.concatenate(servers), q, method="inverted_cdf"))


def _by_counting(servers: list[np.ndarray], q: float) -> float:
    times = sorted(float(t) for server in servers for t in server)
    return min(t for t in times if 100 * sum(u <= t for u in times) >= q * len(times))


CORRECT = (_answer, _by_numpy, _by_counting)

EQUIVALENT: dict[str, str] = {}
