"""Exercises of chapter 08: what fits, how losses are joined, what a size costs; and its rows."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.checks.prefix_rows import PACKED_MASK, PREFIX_TARGETS, TAKE_OUT
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 08.3 Keep the latest events, whole


def _latest(person: int, events: list[int], room: int) -> list[int]:
    """The right answer: the longest end of the list that fits."""
    first = next(i for i in range(len(events) + 1) if person + sum(events[i:]) <= room)
    return events[first:]


def _backwards(person: int, events: list[int], room: int) -> list[int]:
    kept: list[int] = []
    for cost in reversed(events):
        if person + sum(kept) + cost > room:
            break
        kept.insert(0, cost)
    return kept


def _oldest(person: int, events: list[int], room: int) -> list[int]:
    return _latest(person, events[::-1], room)[::-1]


def _whatever_fits(person: int, events: list[int], room: int) -> list[int]:
    kept, left = [], room - person
    for cost in reversed(events):
        if cost <= left:
            kept.insert(0, cost)
            left -= cost
    return kept


def _filled_up(person: int, events: list[int], room: int) -> list[int]:
    kept = _latest(person, events, room)
    left = room - person - sum(kept)
    return [left, *kept] if left and len(kept) < len(events) else kept


LATEST = Exercise(
    id="08.3",
    title="Keep the latest events, whole",
    answer="keep_latest",
    cases=(
        Case((10, [12, 9, 14, 8], 40), [14, 8], note="the chapter's"),
        Case((10, [5, 8, 22], 40), [8, 22], note="they fill the room to the last token"),
        Case((10, [5, 8, 7], 40), [5, 8, 7], note="all of them fit"),
        Case((10, [3, 30, 5], 20), [5], note="a long event between short ones"),
        Case((10, [], 20), [], note="no events"),
        Case((10, [5, 12], 20), [], note="not even the latest event fits"),
        Case((20, [5, 1], 20), [], note="the person alone fills the room"),
    ),
    known_wrong=(
        KnownWrong(
            _oldest,
            "Kept are the oldest events. What comes next depends on the latest.",
        ),
        KnownWrong(
            lambda person, events, room: _latest(0, events, room),
            "The person's own tokens are forgotten: they stay, and take their part of the room.",
        ),
        KnownWrong(
            _whatever_fits,
            "An older event was kept though a later one fell out: the history has a hole. Stop at "
            "the first that does not fit.",
        ),
        KnownWrong(
            lambda person, events, room: events[-len(_latest(person, events, room)) :],
            "Where nothing fits everything is kept: events[-0:] is the whole list. Cut from the "
            "front, events[len(events) - k :].",
        ),
        KnownWrong(
            lambda person, events, room: _latest(person, events, room) or events[-1:],
            "The latest event is kept though it does not fit: the text is longer than the room.",
        ),
        KnownWrong(
            lambda person, events, room: _latest(person, events, room - 1),
            "What fills the room exactly fits: <=, not <.",
        ),
        KnownWrong(
            _filled_up,
            "The room left over is filled with a part of an event. Events go whole.",
        ),
        KnownWrong(
            lambda person, events, room: _latest(person, events, room)[::-1],
            "The order is turned round: oldest first.",
        ),
    ),
    correct_alternatives=(_latest, _backwards),
    hints=(
        "Which end of the list do you begin at, and when do you stop?",
        "Drop the oldest event while person + sum(events) is more than room.",
        "Mind the history without events, and the event that fits to the last token.",
    ),
    notice="The package does this with tokens counted once for each text. A model reads fewer "
    "events of a person who met items with long names: the price of text, paid unequally.",
)


# 08.4 The joint loss


def _joint(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> float:
    """The right answer: sum of w L over sum of w, of the objectives that are there."""
    there = [k for k in range(len(weights)) if (kind == k).any()]
    total = sum(weights[k] * nats[kind == k].mean() for k in there)
    return float(total / sum(weights[k] for k in there))


def _joint_by_counts(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> float:
    n = np.bincount(kind, minlength=len(weights))
    each = np.bincount(kind, weights=nats, minlength=len(weights)) / np.maximum(n, 1)
    return float((weights * each).sum() / weights[n > 0].sum())


def _means(nats: np.ndarray, kind: np.ndarray, weights: np.ndarray) -> np.ndarray:
    n = np.bincount(kind, minlength=len(weights))
    return np.bincount(kind, weights=nats, minlength=len(weights)) / np.maximum(n, 1)


_NATS = np.array([4.0] * 6 + [2.0] * 2)
_KIND = np.array([0] * 6 + [1] * 2)

JOINT = Exercise(
    id="08.4",
    title="The joint loss",
    answer="joint_loss",
    cases=(
        Case((_NATS, _KIND, np.array([1.0, 1.0])), 3.0, note="equal weights, unequal tokens"),
        Case((_NATS, _KIND, np.array([1.0, 3.0])), 2.5),
        Case((_NATS, _KIND, np.array([2.0, 0.0])), 4.0, note="the second only looks on"),
        Case(
            (np.array([1.0, 3.0]), np.array([0, 0]), np.array([1.0, 1.0])),
            2.0,
            note="a batch without the second objective",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda nats, kind, weights: float(nats.mean()),
            "That is the mean over all tokens: whoever has more of them gets more say, and the "
            "weights none. Average each objective over its own tokens first.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float((weights[kind] * nats).sum() / weights[kind].sum()),
            "The weights are laid on tokens, so an objective with many tokens counts many times. "
            "Lay them on the means.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float((weights * _means(nats, kind, weights)).sum()),
            "The sum of the weights is missing below: twice the weights would be twice the loss, "
            "and twice the step.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float(
                (weights * _means(nats, kind, weights)).sum() / weights.sum()
            ),
            "An objective that has no token in the batch counts as a loss of 0. Leave it out, its "
            "weight too.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float(
                np.mean([nats[kind == k].mean() for k in np.unique(kind)])
            ),
            "That is the plain mean of the objectives: the weights are not asked.",
        ),
        KnownWrong(
            lambda nats, kind, weights: float((weights[kind] * nats).sum() / weights.sum()),
            "Each objective is summed over its tokens, not averaged: it grows with the batch.",
        ),
    ),
    correct_alternatives=(_joint, _joint_by_counts),
    hints=(
        "First a mean for each objective, over its own tokens; then the weights.",
        "nats[kind == k].mean() is one objective's; is there always a token of it?",
        "Divide by the sum of the weights of those objectives that are in the batch.",
    ),
    notice="Weights are the only place where it is said what matters. Log each objective apart all "
    "the same: a falling sum can hide one that rises.",
)


# 08.6 Count the weights


def _weights(V: int, d: int, L: int, f: int, positions: int) -> int:
    """The right answer: 4d^2 + 4d, 2df + f + d and 4d a block."""
    block = 4 * (d * d + d) + (2 * d * f + f + d) + 2 * 2 * d
    return (V + positions) * d + L * block + 2 * d


def _built(V: int, d: int, L: int, f: int, positions: int) -> int:
    attention = [(d, 3 * d), (3 * d,), (d, d), (d,)]
    net = [(d, f), (f,), (f, d), (d,)]
    block = [*attention, *net, (d,), (d,), (d,), (d,)]
    return sum(int(np.prod(s)) for s in [(V, d), (positions, d), *(block * L), (d,), (d,)])


_SIZES = ((4096, 96, 2, 384, 128), (100, 8, 1, 16, 10), (50_000, 64, 3, 256, 512))

COUNT = Exercise(
    id="08.6",
    title="Count the weights",
    answer="count_weights",
    cases=tuple(Case(size, _built(*size)) for size in _SIZES),
    known_wrong=(
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) + V * d,
            "The table of tokens is counted twice. It reads and it scores, but it is one (tied).",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * (5 * d + f),
            "The biases of the linear maps are missing: 4d in attention, f + d in the net.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * 4 * d - 2 * d,
            "The norms are missing: each has a scale and a shift, 2d; two a block, one at the end.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - 2 * d,
            "The last norm, behind all blocks, is missing.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, positions) - L * (d * d + d),
            "Attention has four maps: queries, keys, values, and the one that leads out.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, L, f, 0),
            "The learned positions are missing: a vector of d numbers each.",
        ),
        KnownWrong(
            lambda V, d, L, f, positions: _weights(V, d, 1, f, positions),
            "That is one block's; there are L, each with weights of its own.",
        ),
    ),
    correct_alternatives=(_weights, _built),
    hints=(
        "Count a block first: four maps from d to d, one from d to f, one back, two norms.",
        "Each map has a bias as wide as what comes out.",
        "Around the blocks: the tokens' table (once), the positions' table, one norm.",
    ),
    notice="How many heads there are plays no part: they share out the same d. The package's model "
    "agrees with the count, as the cell below the check shows.",
)


EXERCISES = (PACKED_MASK, TAKE_OUT, LATEST, JOINT, PREFIX_TARGETS, COUNT)
