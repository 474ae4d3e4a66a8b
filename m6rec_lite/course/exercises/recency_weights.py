"""Exercise ``recency_weights``: recency weights of ragged histories."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _weights(lengths: list[int], decay: float, shift: int = 0) -> np.ndarray:
    return np.array([decay ** (n - 1 - i + shift) for n in lengths for i in range(n)], dtype=float)


def _normalised(lengths: list[int], decay: float) -> np.ndarray:
    rows = [_weights([n], decay) for n in lengths]
    return np.concatenate([row / row.sum() for row in rows if len(row)] or [np.zeros(0)])


EXERCISE = Exercise(
    id="recency_weights",
    title="Recency weights of ragged histories",
    cases=(
        Case(args=([3, 1, 2], 0.5), expected=[0.25, 0.5, 1, 1, 0.5, 1]),
        Case(args=([2, 0, 3], 0.1), expected=[0.1, 1, 0.01, 0.1, 1], note="one history is empty"),
        Case(args=([4], 1.0), expected=[1, 1, 1, 1], note="decay 1 forgets nothing"),
        Case(args=([1, 1], 0.7), expected=[1, 1]),
    ),
    known_wrong=(
        KnownWrong(
            lambda lengths, decay: _weights(lengths, decay, shift=1),
            "The latest event has weight decay ** 1. It is no step back: decay ** 0 = 1.",
        ),
        KnownWrong(
            lambda lengths, decay: np.concatenate(
                [decay ** np.arange(n, dtype=float) for n in lengths]
            ),
            "The weights fade from the oldest event on: the oldest weighs 1 and the latest least. "
            "Turn them round.",
        ),
        KnownWrong(
            lambda lengths, decay: decay ** np.arange(sum(lengths), dtype=float)[::-1],
            "The steps run through from one history into the next. Each history starts again: its "
            "own latest event weighs 1.",
        ),
        KnownWrong(
            _normalised,
            "Each history is scaled to sum to 1. The latest event shall weigh 1, whatever the "
            "length. (It would not change a ranking, but it is not what was asked.)",
        ),
        KnownWrong(
            lambda lengths, decay: np.concatenate(
                [np.exp(-decay * np.arange(n, dtype=float)[::-1]) for n in lengths]
            ),
            "That is exp(-decay * steps): decay is the factor that one step costs, decay ** steps.",
        ),
    ),
    hints=(
        "How many steps back is the latest event of a history? And the one before?",
        "For one history of length n the steps back are n - 1, …, 1, 0.",
        "np.arange(n)[::-1] for each length, joined with np.concatenate; then decay ** that.",
    ),
    notice="Scaling a history by a constant changes no ranking, so 1 for the latest is a choice; "
    "the ratio between neighbours is what matters.",
)
