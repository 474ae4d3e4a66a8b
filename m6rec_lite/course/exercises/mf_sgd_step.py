"""Exercise ``mf_sgd_step``: a step that climbs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _matrix(seed: int, *, gaps: bool = True) -> tuple[np.ndarray, ...]:
    """R, U, V of a small problem; gaps in R are NaN."""
    rng = np.random.default_rng(seed)
    ratings = rng.integers(1, 6, (4, 3)).astype(float)
    if gaps:
        ratings[1, 2] = ratings[3, 0] = np.nan
    return ratings, rng.normal(size=(4, 2)), rng.normal(size=(3, 2))


def _error(ratings: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(ratings), 0.0, ratings - u @ v.T)


def _mf_step(
    sign: float = 1.0, mixed: bool = False, again: bool = False, factor: float = 1.0
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A step; ``mixed``: V from the new U and the old errors; ``again``: from new errors too."""

    def step(ratings, u, v, eta):
        e = _error(ratings, u, v)
        new_u = u + sign * factor * eta * e @ v
        if again:
            e = _error(ratings, new_u, v)
        return new_u, v + sign * factor * eta * e.T @ (new_u if mixed or again else u)

    return step


def _zeros_for_gaps(ratings, u, v, eta):
    return _mf_step()(np.nan_to_num(ratings), u, v, eta)


def _only_u(ratings, u, v, eta):
    return _mf_step()(ratings, u, v, eta)[0], v


EXERCISE = Exercise(
    id="mf_sgd_step",
    title="A step that climbs",
    cases=(
        Case(
            args=(np.array([[2.0]]), np.array([[1.0]]), np.array([[1.0]]), 0.1),
            expected=([[1.1]], [[1.1]]),
            note="one rating of 2, guessed as 1: both numbers grow to 1.1",
        ),
        Case(
            args=(*_matrix(0, gaps=False), 0.05),
            expected=_mf_step()(*_matrix(0, gaps=False), 0.05),
        ),
        Case(args=(*_matrix(1), 0.2), expected=_mf_step()(*_matrix(1), 0.2), note="with gaps"),
    ),
    known_wrong=(
        KnownWrong(
            _mf_step(sign=-1.0, mixed=True),
            "Both mistakes are still there: the step goes up the loss, and V is moved with the "
            "new U.",
        ),
        KnownWrong(
            _mf_step(mixed=True),
            "The sign is right now. But V is still moved with the new U and the old errors: keep "
            "the old U until both are computed.",
        ),
        KnownWrong(
            _mf_step(sign=-1.0),
            "Both sides move from the old values now. But they still climb: the gradient by U is "
            "-E V, so the step down is U + eta * E @ V.",
        ),
        KnownWrong(
            _mf_step(again=True),
            "V is moved from the new U with fresh errors. That goes down too (it is how "
            "alternating methods work), but it is two steps, one after the other. One gradient "
            "step moves both from the same old values.",
        ),
        KnownWrong(
            _zeros_for_gaps,
            "Gaps are taken as ratings of 0. Where R is NaN the error is 0: there is no rating.",
        ),
        KnownWrong(
            _mf_step(factor=2.0),
            "The step is twice too long: of half the squared error the gradient is -E V, without "
            "a 2.",
        ),
        KnownWrong(
            lambda ratings, u, v, eta: _mf_step()(ratings, u, v, 1.0),
            "eta is not used: without a learning rate the step overshoots and the loss overflows, "
            "even with the right sign.",
        ),
        KnownWrong(
            lambda ratings, u, v, eta: _mf_step(sign=-1.0)(ratings, u, v, 1.0),
            "The printed step: it climbs, and eta is not used.",
        ),
        KnownWrong(_only_u, "V has not moved: return both, each moved once."),
        KnownWrong(
            lambda ratings, u, v, eta: (
                u + eta * (ratings - u @ v.T) @ v,
                v + eta * (ratings - u @ v.T).T @ u,
            ),
            "NaN spreads from the gaps of R to rows of U and V. The error is 0 there: np.where.",
        ),
    ),
    hints=(
        "Put one rating through by hand: R = 2, U = V = 1. Should U grow or shrink?",
        "The gradient by U is -E V. Going down means subtracting it.",
        "Compute new_U and new_V from U and V, and only then return them.",
    ),
    notice="The turned sign is not caught by looking: U -= eta * E @ V looks like every gradient "
    "step ever written, because E already holds the minus. A loss printed twice would tell.",
)
