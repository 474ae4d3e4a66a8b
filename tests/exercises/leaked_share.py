"""Right answers to ``leaked_share``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.leaked_share import Pairs, Targets, _share


def _by_loops(train: Pairs, log: Pairs, targets: Targets) -> float:
    total = 0
    for user, item in targets.items():
        total += (user, item) in train and log.count((user, item)) < 2
    return total / len(targets)


def _by_numpy(train: Pairs, log: Pairs, targets: Targets) -> float:
    pairs = list(targets.items())
    once = np.array([log.count(pair) == 1 for pair in pairs])
    return float((once & np.array([pair in train for pair in pairs])).mean())


CORRECT = (_share, _by_loops, _by_numpy)

EQUIVALENT = {
    "rows = train": "a list of pairs answers `in` as a set does, only slower",
    "rows = list(train)": "a list of pairs answers `in` as a set does, only slower",
}
