"""Open exercise ``negatives_push``: which wrong items a loss pushes down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, softmax

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Force = Callable[[np.ndarray], np.ndarray]
Push = Callable[[np.ndarray, int], tuple[float, float]]


def _push(full: Force = softmax, binary: Force = expit, highest: bool = True) -> Push:
    """Return the two shares, with another force of either loss, or of the lowest scores."""

    def push(scores: np.ndarray, top: int) -> tuple[float, float]:
        order = np.sort(scores)[::-1] if highest else np.sort(scores)
        forces = full(order), binary(order)
        return tuple(float(force[:top].sum() / force.sum()) for force in forces)  # type: ignore[return-value]

    return push


RIGHT = _push()


def _swapped(scores: np.ndarray, top: int) -> tuple[float, float]:
    full, binary = RIGHT(scores, top)
    return binary, full


def _unsorted(scores: np.ndarray, top: int) -> tuple[float, float]:
    full, binary = softmax(scores), expit(scores)
    return float(full[:top].sum()), float(binary[:top].sum() / binary.sum())


def _sums(scores: np.ndarray, top: int) -> tuple[float, float]:
    order = np.sort(scores)[::-1]
    return float(softmax(order)[:top].sum()), float(expit(order)[:top].sum())


def _means(scores: np.ndarray, top: int) -> tuple[float, float]:
    order = np.sort(scores)[::-1]
    full, binary = softmax(order), expit(order)
    return float(full[:top].mean() / full.mean()), float(binary[:top].mean() / binary.mean())


def scores_of(n_items: int, deviation: float, seed: int = 0) -> np.ndarray:
    """Return ``(n_items,)`` normal scores in random order."""
    return deviation * np.random.default_rng(seed).normal(size=n_items)


PREDICTED = scores_of(1000, 2.0)

_SETTINGS = (
    (np.log([1.0, 4.0, 1.0, 2.0]), 1, "scores ln 1, ln 4, ln 1, ln 2: shares 4/8 and 24/74"),
    (np.zeros(8), 2, "equal scores: both shares are 2/8"),
    (scores_of(50, 0.5, seed=1), 5, "scores that hardly differ"),
    (scores_of(300, 4.0, seed=2), 10, "scores that differ much"),
)

EXERCISE = OpenExercise(
    id="negatives_push",
    title="Predict and measure: which wrong items a loss pushes down",
    data={"scores": PREDICTED},
    cases=tuple(
        Case((scores, top), RIGHT(scores, top), note=note) for scores, top, note in _SETTINGS
    ),
    known_wrong=(
        KnownWrong(
            _swapped,
            "The two shares are exchanged: full cross-entropy first.",
        ),
        KnownWrong(
            _push(highest=False),
            "That is the share of the lowest scores. Sort from the highest down.",
        ),
        KnownWrong(
            _unsorted,
            "The first items are taken as they come. Sort the scores first.",
        ),
        KnownWrong(
            _sums,
            "Under binary cross-entropy the sum is not divided by that of all wrong items, so it "
            "is no share.",
        ),
        KnownWrong(
            _means,
            "These are means over means. A share is a sum over a sum.",
        ),
        KnownWrong(
            _push(full=expit),
            "Full cross-entropy pushes by the softmax, the exponential of the score, not by the "
            "sigmoid.",
        ),
        KnownWrong(
            _push(binary=softmax),
            "Binary cross-entropy judges each item alone: the sigmoid, not the softmax.",
        ),
        KnownWrong(
            _push(binary=lambda s: np.logaddexp(0, s)),
            "That is the loss of a wrong item, ln(1 + e^s). The push is its derivative, the "
            "sigmoid.",
        ),
        KnownWrong(
            _push(binary=lambda s: expit(-s)),
            "That is the sigmoid of -s, the push on a right item. A wrong item with a high score "
            "is pushed most.",
        ),
        KnownWrong(
            _push(binary=lambda s: expit(s) * expit(-s)),
            "That is the derivative of the sigmoid. The derivative of -ln(1 - sigmoid(s)) is the "
            "sigmoid itself.",
        ),
    ),
    hints=(
        "Sort the scores from the highest down; a share is the sum of the first over that of all.",
        "Full cross-entropy: np.exp(scores). Binary: 1 / (1 + np.exp(-scores)).",
        "Subtract the largest score before np.exp: the share stays the same.",
    ),
    notice="The number of drawn items raises the push on all wrong items alike and leaves this "
    "share as it is. Whether it matters for the list is another question: the lesson holds the "
    "number fixed and compares.",
    measured=lambda answer: float(np.divide(*answer(PREDICTED, 10))),
    example=5.0,
)
