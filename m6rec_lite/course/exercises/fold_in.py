"""Exercise ``fold_in``: fold somebody in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_Y = np.random.default_rng(3).normal(size=(7, 3))


def _folded(
    base: float = 1.0, extra: float = 0.0, pull: float = 1.0, ridge: float = 1.0
) -> Callable[..., np.ndarray]:
    """x with the parts of the equations weighted: 1, 0, 1, 1 is right."""

    def fold_in(taken, y, alpha, lam):
        z = y[list(taken)]
        left = base * y.T @ y + (alpha + extra) * z.T @ z + ridge * lam * np.eye(y.shape[1])
        return np.linalg.solve(left, (1 + pull * alpha) * z.sum(axis=0))

    return fold_in


def _mean_vector(taken, y, alpha, lam):
    return y[list(taken)].mean(axis=0) if len(taken) else np.zeros(y.shape[1])


EXERCISE = Exercise(
    id="fold_in",
    title="Fold somebody in",
    cases=(
        Case(
            args=([0], np.array([[1.0], [0.5], [0.0]]), 3.0, 1.0),
            expected=[4 / 5.25],
            note="the case worked out in chapter 03",
        ),
        Case(args=([1, 4], _Y, 5.0, 0.5), expected=_folded()([1, 4], _Y, 5.0, 0.5)),
        Case(
            args=([2, 3, 6], _Y, 0.5, 4.0),
            expected=_folded()([2, 3, 6], _Y, 0.5, 4.0),
            note="little confidence, much penalty",
        ),
        Case(args=([], _Y, 5.0, 0.5), expected=np.zeros(3), note="somebody new"),
    ),
    known_wrong=(
        KnownWrong(
            _folded(base=0.0),
            "Only what was taken is in your equations. The cells that were not taken count as "
            "well, with confidence 1 and preference 0: they bring Y'Y to the left side.",
        ),
        KnownWrong(
            _folded(extra=1.0),
            "Items that were taken are counted twice on the left: they are in Y'Y already, so "
            "only alpha is added for them, not 1 + alpha.",
        ),
        KnownWrong(
            _folded(pull=0.0),
            "The right side lacks the confidence: it is the sum of (1 + alpha) y over what was "
            "taken.",
        ),
        KnownWrong(
            _folded(ridge=0.0),
            "The penalty is missing: add lam times the identity on the left.",
        ),
        KnownWrong(
            _mean_vector,
            "That is the mean of the vectors of what was taken. It lies in the right direction "
            "and has the wrong length: solve the equations.",
        ),
    ),
    hints=(
        "Left: Y'Y + alpha Z'Z + lam I, with Z the rows of Y that were taken.",
        "Right: (1 + alpha) times the sum of the rows of Z. It is 0 for an empty list.",
        "Z = Y[taken], also for an empty list; then np.linalg.solve(left, right).",
    ),
    notice="An empty history gives 0 exactly, for every score alike: the model itself says that "
    "it knows nothing. No refit was needed for anybody.",
)
