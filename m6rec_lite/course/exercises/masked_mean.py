"""Exercise ``masked_mean``: padding in the mean."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _real(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(batch, time, 1): 1 where a place is real; padding stands behind."""
    return (np.arange(states.shape[1]) < np.asarray(lengths)[:, None])[:, :, None].astype(float)


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
        [[2.0, 0.0], [4.0, 2.0], [5.0, 3.0], [13.0, 9.0]],
        [[5.0, -5.0], [7.0, 7.0], [7.0, 7.0], [7.0, 7.0]],
    ]
)
_MEANS = [[2.0, 3.0], [6.0, 3.5], [5.0, -5.0]]

EXERCISE = Exercise(
    id="masked_mean",
    title="Padding in the mean",
    cases=(
        Case(args=(_STATES, np.array([2, 4, 1])), expected=_MEANS),
        Case(
            args=(_STATES[:1, :2], np.array([2])), expected=_MEANS[:1], note="a row alone, unpadded"
        ),
        Case(
            args=(_STATES[:1, :3], np.array([2])), expected=_MEANS[:1], note="the same row, padded"
        ),
        Case(args=(_STATES[:2], np.array([2, 0])), expected=[[2.0, 3.0], [0.0, 0.0]], note="empty"),
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
        KnownWrong(
            lambda states, lengths: np.stack(
                [
                    np.median(row[:n], axis=0) if n else 0 * row[0]
                    for row, n in zip(states, lengths, strict=True)
                ]
            ),
            "That is the median. The mean adds up all states and divides by their number.",
        ),
        KnownWrong(
            lambda states, lengths: np.stack(
                [
                    (row[0] + row[n - 1]) / 2 if n else 0 * row[0]
                    for row, n in zip(states, lengths, strict=True)
                ]
            ),
            "That is the middle between the first state and the last. The mean takes in those "
            "between.",
        ),
    ),
    hints=(
        "What is the mean of the first row alone, [[1, 2], [3, 4]]?",
        "real = np.arange(time) < lengths[:, None] has shape (batch, time); give it a last axis.",
        "Sum states * real over time, divide by real's sum, and by no less than 1.",
    ),
    notice="The test that finds this needs no formula: a row alone and the same row in a padded "
    "batch must have the same vector.",
)
