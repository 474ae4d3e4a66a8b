"""Exercise ``softmax_loss``: cross-entropy that does not overflow."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _losses(scores: np.ndarray, targets: np.ndarray, axis: int = 1) -> np.ndarray:
    """(n,): -ln of the softmax of the targets; ``axis`` 0 normalizes over the wrong axis."""
    shifted = scores - scores.max(axis=axis, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return -logp[np.arange(len(scores)), targets]


def _mean(scores: np.ndarray, targets: np.ndarray) -> float:
    """The right answer."""
    return float(_losses(scores, targets).mean())


def _overflows(scores: np.ndarray, targets: np.ndarray) -> float:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        e = np.exp(scores)
        p = e / e.sum(axis=1, keepdims=True)
        return float(-np.log(p[np.arange(len(scores)), targets]).mean())


def _log_is_zero(scores: np.ndarray, targets: np.ndarray) -> float:
    p = np.exp(-_losses(scores, targets))
    with np.errstate(divide="ignore"):
        return float(-np.log(p).mean())


_PAPER = np.log([[1.0, 2.0, 5.0], [4.0, 2.0, 2.0]])
_LN2 = float(np.log(2))

EXERCISE = Exercise(
    id="softmax_loss",
    title="Cross-entropy that does not overflow",
    cases=(
        Case(
            (_PAPER, np.array([1, 0])),
            1.5 * _LN2,
            note="probabilities 2/8 and 4/8: 2 bits and 1 bit",
        ),
        Case((_PAPER[:1], np.array([0])), 3 * _LN2, note="one row, probability 1/8"),
        Case((_PAPER[1:], np.array([2])), 2 * _LN2, note="one row, probability 2/8"),
        Case((_PAPER + 1000.0, np.array([1, 0])), 1.5 * _LN2, note="1,000 added to every score"),
        Case(
            (np.array([[1000.0, 0.0], [0.0, 0.0]]), np.array([1, 0])),
            (1000.0 + _LN2) / 2,
            note="a target whose probability is 0 in floating point",
        ),
        Case((np.array([[-1000.0, 0.0, 0.0]]), np.array([1])), _LN2, note="a very low other score"),
        Case((np.zeros((3, 8)), np.array([0, 3, 7])), 3 * _LN2, note="eight equal scores: 3 bits"),
    ),
    known_wrong=(
        KnownWrong(
            _overflows,
            "Right for small scores, but exp(1000) is infinite, and infinity over infinity is not "
            "a number: subtract the largest score of the row first.",
        ),
        KnownWrong(
            _log_is_zero,
            "The probability underflows to 0 before its logarithm is taken: compute the logarithm "
            "from the scores, ln of the sum minus the score of the target.",
        ),
        KnownWrong(
            lambda scores, targets: float(_losses(scores, targets, axis=0).mean()),
            "The softmax runs over the rows. Each row is one distribution: sum over axis 1.",
        ),
        KnownWrong(
            lambda scores, targets: float(_losses(scores, targets).sum()),
            "That is the sum over the rows; return their mean.",
        ),
        KnownWrong(
            lambda scores, targets: _mean(scores, targets) / _LN2,
            "These are bits. Return nats: the natural logarithm.",
        ),
        KnownWrong(
            lambda scores, targets: -_mean(scores, targets),
            "The sign is wrong: -ln of a probability is never negative.",
        ),
        KnownWrong(
            lambda scores, targets: float(np.exp(-_losses(scores, targets)).mean()),
            "That is the mean probability of the targets; its logarithm is missing.",
        ),
        KnownWrong(
            lambda scores, targets: float(-np.log(np.exp(-_losses(scores, targets)).mean())),
            "The logarithm of the mean is not the mean of the logarithms.",
        ),
        KnownWrong(
            lambda scores, targets: float(
                np.mean([_losses(scores, np.full(len(scores), j)) for j in range(scores.shape[1])])
            ),
            "That is the mean over all tokens; only the target of each row counts.",
        ),
    ),
    hints=(
        "What stays the same if a constant is subtracted from all scores of a row?",
        "-ln p of the target is ln of the sum of exponentials, minus the score of the target.",
        "shifted = scores - scores.max(axis=1, keepdims=True); then use np.arange(n) and targets.",
    ),
    notice="torch's `cross_entropy` takes scores, not probabilities, for this reason.",
)
