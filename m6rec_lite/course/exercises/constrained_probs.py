"""Exercise ``constrained_probs``: a mask of zeros."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _constrained(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The right answer: what is forbidden has -inf."""
    return softmax(np.where(allowed, logits, -np.inf))


def _without_maximum(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        chances = np.where(allowed, np.exp(logits), 0.0)
        return chances / chances.sum()


_LOGITS = np.array([-3.0, 2.0, -4.0, -1.5])
_SOME = np.array([True, False, True, False])

EXERCISE = Exercise(
    id="constrained_probs",
    title="A mask of zeros",
    cases=(
        Case((_LOGITS, _SOME), _constrained(_LOGITS, _SOME), note="what is allowed is unlikely"),
        Case((_LOGITS, np.ones(4, dtype=bool)), softmax(_LOGITS), note="all is allowed"),
        Case((_LOGITS, np.arange(4) == 2), [0.0, 0.0, 1.0, 0.0], note="one token is"),
        Case((-_LOGITS, _SOME), _constrained(-_LOGITS, _SOME), note="what is allowed is likely"),
        Case(
            (100 * _LOGITS, _SOME),
            _constrained(100 * _LOGITS, _SOME),
            note="what is allowed is most unlikely",
        ),
        Case(
            (_LOGITS + 1000, _SOME),
            _constrained(_LOGITS + 1000, _SOME),
            note="e to the 1000 is infinite",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda logits, allowed: softmax(logits * allowed),
            "A logit of 0 is not a chance of 0: it is e⁰ = 1 before normalising, more than any "
            "negative logit has.",
        ),
        KnownWrong(
            lambda logits, allowed: softmax(logits) * allowed,
            "What is left does not add up to 1: divide by its sum, or mask before the softmax.",
        ),
        KnownWrong(
            lambda logits, allowed: _constrained(logits, ~allowed | allowed.all()),
            "The mask is turned round: `allowed` is True where a token may come.",
        ),
        KnownWrong(
            lambda logits, allowed: softmax(np.where(allowed, logits, -1.0)),
            "A small logit is still a chance. Only -inf is none.",
        ),
        KnownWrong(
            lambda logits, allowed: softmax(np.where(allowed, logits, -100.0)),
            "-100 is a small logit, and still larger than -300. Only -inf is no chance.",
        ),
        KnownWrong(
            _without_maximum,
            "The numbers overflow: e to the 1000 is infinite, and infinite over infinite is NaN. "
            "Take the largest logit off first.",
        ),
        KnownWrong(
            lambda logits, allowed: (
                np.where(allowed, logits, -np.inf) == logits[allowed].max()
            ).astype(float),
            "That is the likeliest token alone. Wanted are the chances of all of them.",
        ),
    ),
    hints=(
        "What is exp(0)? And what is exp(-inf)?",
        "np.where(allowed, logits, -np.inf), then the softmax.",
        "The forbidden token must have exactly 0, and all together 1.",
    ),
    notice="It is also what the model thinks, given that only these may come: chances among the "
    "allowed keep their ratios.",
)
