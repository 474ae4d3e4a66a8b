"""Exercise ``last_state``: the last state, read at a pad."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _off_by_one(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    places = np.minimum(np.asarray(lengths), states.shape[1] - 1)
    return np.where(np.asarray(lengths)[:, None] > 0, states[np.arange(len(states)), places], 0.0)


def _wrapped(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return states[np.arange(len(states)), np.asarray(lengths) - 1]


def _mean(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    real = (np.arange(states.shape[1]) < np.asarray(lengths)[:, None])[:, :, None]
    return (states * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


# The network has read on over the padding: no state behind a row's end is zero.
_STATES = np.array(
    [
        [[1.0, 2.0], [3.0, 4.0], [3.5, 4.5], [3.6, 4.6]],
        [[2.0, 0.0], [4.0, 2.0], [6.0, 4.0], [8.0, 6.0]],
        [[5.0, -5.0], [2.5, -2.5], [1.2, -1.2], [0.6, -0.6]],
    ]
)

EXERCISE = Exercise(
    id="last_state",
    title="The last state, read at a pad",
    cases=(
        Case(args=(_STATES, np.array([2, 4, 1])), expected=[[3.0, 4.0], [8.0, 6.0], [5.0, -5.0]]),
        Case(
            args=(_STATES[:1, :2], np.array([2])),
            expected=[[3.0, 4.0]],
            note="a row alone, unpadded",
        ),
        Case(args=(_STATES[:1], np.array([2])), expected=[[3.0, 4.0]], note="the same row, padded"),
        Case(
            args=(_STATES[1:], np.array([3, 0])),
            expected=[[6.0, 4.0], [0.0, 0.0]],
            note="an empty row",
        ),
        Case(
            args=(_STATES[2:, ::-1] * [1.0, -1.0], np.array([3])),
            expected=[[2.5, 2.5]],
            note="states that rise",
        ),
        Case(args=(_STATES[2:], np.array([3])), expected=[[1.2, -1.2]], note="states that fall"),
    ),
    known_wrong=(
        KnownWrong(
            lambda states, lengths: states[:, -1],
            "The last *place* is read, which for a short row is padding: the network has gone on "
            "over the pads.",
        ),
        KnownWrong(
            _off_by_one,
            "Off by one: a row of length n ends at place n - 1. Place n is its first pad.",
        ),
        KnownWrong(
            _wrapped,
            "Right for real rows. For an empty one, length - 1 is -1, and Python reads the last "
            "place: a pad. It shall be zeros.",
        ),
        KnownWrong(
            lambda states, lengths: states[:, np.max(lengths) - 1],
            "Every row is read at the end of the longest. Each has its own length.",
        ),
        KnownWrong(
            _mean,
            "That is the mean of the states. Only the last one is asked: it has read everything.",
        ),
        KnownWrong(
            lambda states, lengths: np.stack(
                [
                    row[:n].max(axis=0, initial=-9.0) if n else 0.0 * row[0]
                    for row, n in zip(states, lengths, strict=True)
                ]
            ),
            "That is the largest number of each dimension over time. Only the last state is asked.",
        ),
        KnownWrong(
            lambda states, lengths: states[:, 0],
            "That is the state after the first item: padding stands behind, not in front.",
        ),
    ),
    hints=(
        "At which place is the last real state of a row of length 2?",
        "states[np.arange(batch), lengths - 1] picks one place of each row.",
        "np.where(lengths[:, None] > 0, ..., 0.0) takes care of empty rows.",
    ),
    notice="`Recurrent(x, lengths=...)` and torch's packed sequences return exactly this state, "
    "and spend nothing on pads.",
)
