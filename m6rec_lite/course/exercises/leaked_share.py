"""Exercise ``leaked_share``: how many answers are among the training rows?"""

from __future__ import annotations

from collections import Counter

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Pairs = list[tuple[int, int]]
Targets = dict[int, int]


def _leaked(train: Pairs, log: Pairs, targets: Targets) -> list[bool]:
    counts, rows = Counter(log), set(train)
    return [pair in rows and counts[pair] == 1 for pair in targets.items()]


def _share(train: Pairs, log: Pairs, targets: Targets) -> float:
    """The right answer."""
    leaked = _leaked(train, log, targets)
    return sum(leaked) / len(leaked)


def _with_repeats(train: Pairs, log: Pairs, targets: Targets) -> float:
    return sum(pair in set(train) for pair in targets.items()) / len(targets)


def _any_user(train: Pairs, log: Pairs, targets: Targets) -> float:
    items = {item for _, item in train}
    return sum(item in items for item in targets.values()) / len(targets)


def _of_the_rest(train: Pairs, log: Pairs, targets: Targets) -> float:
    once = [pair for pair in targets.items() if Counter(log)[pair] == 1]
    return sum(pair in set(train) for pair in once) / max(len(once), 1)


def _in_the_log(train: Pairs, log: Pairs, targets: Targets) -> float:
    return sum(Counter(log)[pair] == 1 for pair in targets.items()) / len(targets)


_LOG = [(1, 5), (1, 6), (1, 7), (2, 5), (2, 7), (2, 7), (3, 6), (3, 8), (4, 5), (4, 6)]
_TARGETS = {1: 7, 2: 7, 3: 8, 4: 6}
_CASES = (
    ([(1, 5), (1, 6), (2, 5), (2, 7), (3, 6), (4, 5)], "fair: user 2 took 7 twice"),
    (_LOG, "all rows are trained on"),
    ([(1, 5), (1, 7), (2, 7), (3, 6), (3, 8)], "two answers are there, and a repeat"),
    ([(4, 6), (1, 6), (2, 8)], "one answer"),
)

EXERCISE = Exercise(
    id="leaked_share",
    title="Answers among the training rows",
    cases=tuple(
        Case((train, _LOG, _TARGETS), _share(train, _LOG, _TARGETS), note=note)
        for train, note in _CASES
    ),
    known_wrong=(
        KnownWrong(
            _with_repeats,
            "A user who took the item twice may have the earlier row in training: that is a "
            "repeat, not a leak. Count targets whose pair is in the log once.",
        ),
        KnownWrong(
            _any_user,
            "The item counts if anyone took it. A leak is the *pair* of user and item.",
        ),
        KnownWrong(
            _of_the_rest,
            "Repeats are left out of the denominator too. Divide by all targets.",
        ),
        KnownWrong(
            _in_the_log,
            "Every target is in the log. Ask whether it is among the training rows.",
        ),
        KnownWrong(
            lambda train, log, targets: sum(_leaked(train, log, targets)) / len(train),
            "That is the share of the training rows that are answers. Divide by the number of "
            "targets.",
        ),
        KnownWrong(
            lambda train, log, targets: sum(_leaked(train, log, targets)),
            "That is a number of users. Wanted is their share.",
        ),
        KnownWrong(
            lambda train, log, targets: 1 - _share(train, log, targets),
            "That is the share of the targets that did not leak.",
        ),
    ),
    hints=(
        "targets.items() gives the pairs of user and item.",
        "Counter(log)[pair] says how often a user took an item.",
        "A pair leaked if it is in set(train) and was taken once.",
    ),
    notice="Without the training rows this cannot be told, and an audit must say so.",
)
