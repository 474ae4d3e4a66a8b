"""Exercise ``fold_in``: fold in a new user, with graded preferences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_V = np.random.default_rng(3).normal(size=(7, 3))


def _folded(
    base: float = 1.0,
    extra: float = 0.0,
    pull: float = 1.0,
    ridge: float = 1.0,
    prefer: Callable[[np.ndarray], np.ndarray] = lambda p: p,
    both_sides: bool = False,
) -> Callable[..., np.ndarray]:
    """The vector with the parts of the equations changed; the defaults are right."""

    def fold_in(taken, p, v, alpha, lam):
        z, p = v[np.asarray(taken, dtype=int)], np.asarray(p, dtype=float)
        weighted = p[:, None] * z if both_sides else z
        left = base * v.T @ v + (alpha + extra) * z.T @ weighted + ridge * lam * np.eye(v.shape[1])
        return np.linalg.solve(left, (1 + pull * alpha) * z.T @ prefer(p))

    return fold_in


def _mean_vector(taken, p, v, alpha, lam):
    return v[list(taken)].mean(axis=0) if len(taken) else np.zeros(v.shape[1])


_ARGS: tuple[tuple, ...] = (
    ([0], np.array([1.0]), np.array([[1.0], [0.5], [0.0]]), 3.0, 1.0),
    ([1, 4], np.array([0.8, 1.0]), _V, 5.0, 0.5),
    ([2, 3, 6], np.array([0.25, 0.5, 1.0]), _V, 0.5, 4.0),
    ([], np.array([]), _V, 5.0, 0.5),
)
_NOTES = ("the case worked out in the lesson", "a decay of 0.8", "little confidence, much penalty",
          "no history")  # fmt: skip

EXERCISE = Exercise(
    id="fold_in",
    title="Fold in a new user, with a decay",
    cases=tuple(
        Case(args, _folded()(*args), note=note) for args, note in zip(_ARGS, _NOTES, strict=True)
    ),
    known_wrong=(
        KnownWrong(
            _folded(prefer=np.ones_like),
            "The preferences are not used: every item taken counts as 1. They multiply the vectors "
            "on the right side.",
        ),
        KnownWrong(
            _folded(both_sides=True),
            "The preferences stand on the left side as well. There only the confidence weighs: it "
            "says how sure a cell is, not what it holds.",
        ),
        KnownWrong(
            _folded(base=0.0),
            "Only what was taken is in your equations. The cells that were not taken count as "
            "well, with confidence 1 and preference 0: they bring V'V to the left side.",
        ),
        KnownWrong(
            _folded(extra=1.0),
            "Items that were taken are counted twice on the left: they are in V'V already, so "
            "only alpha is added for them, not 1 + alpha.",
        ),
        KnownWrong(
            _folded(pull=0.0),
            "The right side lacks the confidence: it is the sum of (1 + alpha) p v over what was "
            "taken.",
        ),
        KnownWrong(
            _folded(ridge=0.0),
            "The penalty is missing: add lam times the identity on the left.",
        ),
        KnownWrong(
            _mean_vector,
            "That is the mean of the vectors of what was taken. It has the wrong length, and "
            "ignores the preferences: solve the equations.",
        ),
    ),
    hints=(
        "Left: V'V + alpha Z'Z + lam I, with Z the rows of V that were taken.",
        "Right: (1 + alpha) times Z' p. It is 0 for an empty list.",
        "Z = V[np.asarray(taken, dtype=int)], also for an empty list; then np.linalg.solve.",
    ),
    notice="An empty history gives 0 exactly, and so equal scores for all items: the model itself "
    "says that it knows nothing. No refit was needed.",
)
