"""Exercises of chapter 05: padding in a mean, training pairs; slips and leaks from beside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.checks.attention_slips import MASKED_ATTENTION, ROUND_FORMULA
from m6rec_lite.course.checks.leaks import FIND_LEAKS
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 05.4 Error hunt: padding in the mean


def _real(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(batch, time, 1): 1 where a place is real; padding stands behind."""
    return (np.arange(states.shape[1]) < np.asarray(lengths)[:, None])[:, :, None].astype(float)


def _mean_state(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    real = _real(states, lengths)
    return (states * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


def _row_by_row(states: np.ndarray, lengths: np.ndarray) -> list:
    zero = np.zeros(states.shape[2])
    return [row[:n].mean(axis=0) if n else zero for row, n in zip(states, lengths, strict=True)]


def _undivided_empty(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    real = _real(states, lengths)
    with np.errstate(invalid="ignore"):
        return (states * real).sum(axis=1) / real.sum(axis=1)


def _from_the_front(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    real = _real(states, lengths)[:, ::-1]
    return (states * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


def _one_length(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return (states * _real(states, lengths)).sum(axis=1) / np.max(lengths)


# Padding is not zeros: a network has added positions to it and moved it.
_STATES = np.array(
    [
        [[1.0, 2.0], [3.0, 4.0], [9.0, 9.0], [9.0, 9.0]],
        [[2.0, 0.0], [4.0, 2.0], [6.0, 4.0], [8.0, 6.0]],
        [[5.0, -5.0], [7.0, 7.0], [7.0, 7.0], [7.0, 7.0]],
    ]
)
_MEANS = [[2.0, 3.0], [5.0, 3.0], [5.0, -5.0]]

MEAN_UNDER_PADDING = Exercise(
    id="05.4",
    title="Padding in the mean",
    answer="mean_state",
    cases=(
        Case(args=(_STATES, np.array([2, 4, 1])), wanted=_MEANS),
        Case(
            args=(_STATES[:1, :2], np.array([2])), wanted=_MEANS[:1], note="a row alone, unpadded"
        ),
        Case(args=(_STATES[:1, :3], np.array([2])), wanted=_MEANS[:1], note="the same row, padded"),
        Case(args=(_STATES[:2], np.array([2, 0])), wanted=[[2.0, 3.0], [0.0, 0.0]], note="empty"),
    ),
    known_wrong=(
        KnownWrong(
            lambda states, lengths: states.mean(axis=1),
            "Padding enters the mean: the same history has another vector in another batch.",
        ),
        KnownWrong(
            lambda states, lengths: (states * _real(states, lengths)).mean(axis=1),
            "Padding is out of the sum, and still in the count: divide by the row's own length, "
            "not by the number of places.",
        ),
        KnownWrong(
            _one_length,
            "Every row is divided by the longest length. Each has its own.",
        ),
        KnownWrong(
            _undivided_empty,
            "An empty row divides 0 by 0 and is NaN, which spreads to whatever is added to it. Its "
            "mean shall be 0.",
        ),
        KnownWrong(
            _from_the_front,
            "The mask is laid on the wrong side: here the padding stands behind.",
        ),
        KnownWrong(
            lambda states, lengths: np.where(_real(states, lengths) > 0, states, -np.inf).max(
                axis=1
            ),
            "That is the largest number, not the mean.",
        ),
    ),
    correct_alternatives=(_mean_state, _row_by_row),
    hints=(
        "What is the mean of the first row alone, [[1, 2], [3, 4]]?",
        "real = np.arange(time) < lengths[:, None] has shape (batch, time); give it a last axis.",
        "Sum states * real over time, divide by real's sum, and by no less than 1.",
    ),
    notice="The test that finds this needs no formula: a row alone and the same row in a padded "
    "batch must have the same vector.",
)


# 05.5 Training pairs and positions

Pairs = tuple[list[int], list[int], list[int]]


def _pairs(history: list[int], max_length: int) -> Pairs:
    inputs, targets = history[:-1][-max_length:], history[1:][-max_length:]
    return inputs, targets, list(range(len(inputs)))[::-1]


def _changed(change: Callable[[list[int], list[int], list[int]], Pairs]) -> Callable[..., Pairs]:
    """The right pairs, then changed."""
    return lambda history, max_length: change(*_pairs(history, max_length))


def _one_by_one(history: list[int], max_length: int) -> Pairs:
    rows = [(history[i], history[i + 1], len(history) - 2 - i) for i in range(len(history) - 1)]
    rows = [row for row in rows if row[2] < max_length]
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


def _unshifted(history: list[int], max_length: int) -> Pairs:
    inputs = history[-max_length:]
    return inputs, inputs, list(range(len(inputs)))[::-1]


def _oldest(history: list[int], max_length: int) -> Pairs:
    inputs, targets = history[:-1][:max_length], history[1:][:max_length]
    return inputs, targets, list(range(len(inputs)))[::-1]


def _cut_first(history: list[int], max_length: int) -> Pairs:
    return _pairs(history[-max_length:], max_length)


TRAINING_PAIRS = Exercise(
    id="05.5",
    title="Training pairs and positions",
    answer="training_pairs",
    cases=(
        Case(
            args=([3, 14, 15, 9], 10),
            wanted=([3, 14, 15], [14, 15, 9], [2, 1, 0]),
            note="three questions",
        ),
        Case(
            args=([3, 14, 15, 9, 2, 6], 3),
            wanted=([15, 9, 2], [9, 2, 6], [2, 1, 0]),
            note="longer than max_length",
        ),
        Case(args=([8, 1], 2), wanted=([8], [1], [0]), note="one question"),
        Case(args=([8], 5), wanted=([], [], []), note="one item teaches nothing"),
    ),
    known_wrong=(
        KnownWrong(
            _unshifted,
            "The targets are not shifted: every item is asked to foretell itself, which it sees. "
            "The loss falls to nearly 0, and nothing is learnt.",
        ),
        KnownWrong(
            lambda history, max_length: (
                history[1:][-max_length:],
                history[:-1][-max_length:],
                _pairs(history, max_length)[2],
            ),
            "Inputs and targets are exchanged: this learns what came before.",
        ),
        KnownWrong(
            _changed(lambda x, y, back: (x, y, back[::-1])),
            "The positions count from the oldest item. Then the position asked at test depends on "
            "the history's length; from the end it is always 0.",
        ),
        KnownWrong(
            _changed(lambda x, y, back: (x, y, [p + 1 for p in back])),
            "The positions are off by one: the latest input is 0 steps back, as at test.",
        ),
        KnownWrong(
            _oldest,
            "A long history is cut to its oldest items. Keep the latest: they are what test asks "
            "from.",
        ),
        KnownWrong(
            _cut_first,
            "The history is cut to max_length before the last item is split off, so that only "
            "max_length - 1 inputs are read.",
        ),
    ),
    correct_alternatives=(
        _pairs,
        _one_by_one,
        lambda history, max_length: tuple(map(np.array, _pairs(history, max_length))),
    ),
    hints=(
        "A history of n items holds n - 1 questions.",
        "history[:-1] are the inputs, history[1:] the targets; cut both to the last max_length.",
        "The positions of m inputs are m - 1, ..., 1, 0.",
    ),
    notice="max_length bounds what the network reads, so a history of max_length + 1 items loses "
    "nothing. And the last training question stands at position 0, exactly where test asks.",
)


EXERCISES = (MASKED_ATTENTION, ROUND_FORMULA, FIND_LEAKS, MEAN_UNDER_PADDING, TRAINING_PAIRS)
