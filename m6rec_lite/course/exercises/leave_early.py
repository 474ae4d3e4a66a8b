"""Exercise ``leave_early``: at which layer a row leaves."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _leave(p: np.ndarray, threshold: float) -> np.ndarray:
    """The right answer: (rows,) layers from 1."""
    sure = np.maximum(p, 1 - p) >= threshold
    sure[:, -1] = True
    return sure.argmax(axis=1) + 1


def _plain(sure: np.ndarray) -> np.ndarray:
    return sure.argmax(axis=1) + 1


_P = np.array(
    [
        [0.95, 0.5, 0.5, 0.99],
        [0.4, 0.05, 0.6, 0.5],
        [0.6, 0.7, 0.8, 0.55],
        [0.5, 0.45, 0.9, 0.02],
        [0.7, 0.2, 0.1, 0.97],
    ]
)

EXERCISE = Exercise(
    id="leave_early",
    title="Where a row leaves",
    cases=(
        Case((_P, 0.9), _leave(_P, 0.9)),
        Case((_P, 0.6), _leave(_P, 0.6), note="both classes can be sure"),
        Case(
            (_P[:, :1], 0.99), np.ones(5, dtype=int), note="with one layer there is no earlier exit"
        ),
        Case((_P[:3], 1.0), np.array([4, 4, 4]), note="never sure: the last layer answers"),
    ),
    known_wrong=(
        KnownWrong(
            lambda p, threshold: _plain(
                np.concatenate([(p >= threshold)[:, :-1], np.ones((len(p), 1), bool)], axis=1)
            ),
            "Here only class 1 can be sure: 1 - p is the probability of the other class.",
        ),
        KnownWrong(
            lambda p, threshold: _plain(np.maximum(p, 1 - p) >= threshold),
            "A row that is never sure must leave at the last layer; argmax of a row of False is 0.",
        ),
        KnownWrong(
            lambda p, threshold: _leave(p, threshold) - 1,
            "Layers count from 1: an index counts from 0.",
        ),
        KnownWrong(
            lambda p, threshold: np.maximum(p, 1 - p).argmax(axis=1) + 1,
            "That is the layer that is surest; the row leaves at the *first* that is sure enough.",
        ),
        KnownWrong(
            lambda p, threshold: np.where(
                (np.maximum(p, 1 - p) >= threshold).any(axis=1),
                p.shape[1] - (np.maximum(p, 1 - p) >= threshold)[:, ::-1].argmax(axis=1),
                p.shape[1],
            ),
            "That is the last layer that is sure enough; a row leaves at the first.",
        ),
        KnownWrong(
            lambda p, threshold: _leave(
                np.where(np.maximum(p, 1 - p) == threshold, 0.5, p), threshold
            ),
            "A row leaves when the probability reaches the threshold: >=, not >.",
        ),
        KnownWrong(
            lambda p, threshold: float(_leave(p, threshold).mean()),
            "That is the mean over rows; return the layer of each row.",
        ),
    ),
    hints=(
        "How sure is a layer? Of two classes the likelier one has max(p, 1 - p).",
        "argmax of a bool array finds the first True; set the last column to True before.",
        "Layers count from 1.",
    ),
    notice="The mean of these numbers over L is the share of the layers that runs: the speed, if "
    "rows come one at a time. In a batch the slowest row decides when the batch is done.",
)
