"""Exercises 03.2 and 03.3: a factorization that climbs, and an Adam without its denominator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 03.2 Error hunt: a step that climbs


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


def _mf_step_by_loop(ratings, u, v, eta):
    new_u, new_v = u.copy(), v.copy()
    for i in range(len(u)):
        for j in range(len(v)):
            if not np.isnan(ratings[i, j]):
                e = ratings[i, j] - sum(u[i] * v[j])
                new_u[i] += eta * e * v[j]
                new_v[j] += eta * e * u[i]
    return new_u, new_v


def _zeros_for_gaps(ratings, u, v, eta):
    return _mf_step()(np.nan_to_num(ratings), u, v, eta)


def _only_u(ratings, u, v, eta):
    return _mf_step()(ratings, u, v, eta)[0], v


SIGN_SLIP = Exercise(
    id="03.2",
    title="A step that climbs",
    answer="mf_step",
    cases=(
        Case(
            args=(np.array([[2.0]]), np.array([[1.0]]), np.array([[1.0]]), 0.1),
            wanted=([[1.1]], [[1.1]]),
            note="one rating of 2, guessed as 1: both numbers grow to 1.1",
        ),
        Case(
            args=(*_matrix(0, gaps=False), 0.05),
            wanted=_mf_step_by_loop(*_matrix(0, gaps=False), 0.05),
        ),
        Case(args=(*_matrix(1), 0.2), wanted=_mf_step_by_loop(*_matrix(1), 0.2), note="with gaps"),
    ),
    known_wrong=(
        KnownWrong(
            _mf_step(sign=-1.0, mixed=True),
            "Both slips are still there: the step goes up the loss, and V is moved with the new U.",
        ),
        KnownWrong(
            _mf_step(mixed=True),
            "The sign is mended. But V is still moved with the new U and the old errors: keep the "
            "old U until both are computed.",
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
            "Gaps are taken as ratings of 0. Where R is NaN the error is 0: nobody said anything.",
        ),
        KnownWrong(
            _mf_step(factor=2.0),
            "The step is twice too long: of half the squared error the gradient is -E V, without "
            "a 2.",
        ),
        KnownWrong(_only_u, "V has not moved: return both, each moved once."),
    ),
    correct_alternatives=(_mf_step(), _mf_step_by_loop),
    hints=(
        "Put one rating through by hand: R = 2, U = V = 1. Should U grow or shrink?",
        "The gradient by U is -E V. Going down means subtracting it.",
        "Compute new_U and new_V from U and V, and only then return them.",
    ),
    notice="The turned sign is not caught by looking: U -= eta * E @ V looks like every gradient "
    "step ever written, because E already holds the minus. A loss printed twice would tell.",
)


# 03.3 Error hunt: an Adam without its denominator

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8


def _adam(
    move: Callable[..., np.ndarray], second: Callable[..., np.ndarray] | None = None
) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """An Adam whose step is ``move(m, v, t)``."""

    def step(theta, g, m, v, t, alpha=0.001):
        m = _BETA1 * m + (1 - _BETA1) * g
        v = second(v, g) if second else _BETA2 * v + (1 - _BETA2) * g**2
        with np.errstate(invalid="ignore"):  # the root of a negative v: one of the slips
            return theta - alpha * move(m, v, t), m, v

    return step


def _hats(m: np.ndarray, v: np.ndarray, t: int) -> tuple[np.ndarray, np.ndarray]:
    return m / (1 - _BETA1**t), v / (1 - _BETA2**t)


def _right(m: np.ndarray, v: np.ndarray, t: int) -> np.ndarray:
    m_hat, v_hat = _hats(m, v, t)
    return m_hat / (np.sqrt(v_hat) + _EPS)


def _one_rate(theta, g, m, v, t, alpha=0.001):
    """The same, as Kingma and Ba rewrite it at the end of their section 2, eps moved along."""
    m = _BETA1 * m + (1 - _BETA1) * g
    v = _BETA2 * v + (1 - _BETA2) * g * g
    root = (1 - _BETA2**t) ** 0.5
    return theta - alpha * root / (1 - _BETA1**t) * m / (v**0.5 + _EPS * root), m, v


_STATE = (
    np.array([1.0, -2.0, 0.5]),
    np.array([0.1, -3.0, 1e-9]),
    np.array([0.02, 0.5, 0.0]),
    np.array([0.3, 0.01, 1e-17]),
)
_FIRST = (np.zeros(3), np.array([1000.0, -0.001, 2.0]), np.zeros(3), np.zeros(3))

ADAM_SLIP = Exercise(
    id="03.3",
    title="An Adam without its denominator",
    answer="adam_step",
    cases=(
        Case(
            args=(*_FIRST, 1, 0.1),
            wanted=_adam(_right)(*_FIRST, 1, 0.1),
            note="the first step is alpha times the sign of g",
        ),
        Case(args=(*_STATE, 5, 0.1), wanted=_adam(_right)(*_STATE, 5, 0.1)),
        Case(args=(*_STATE, 2000, 0.1), wanted=_adam(_right)(*_STATE, 2000, 0.1), note="late"),
    ),
    known_wrong=(
        KnownWrong(
            _adam(lambda m, v, t: m / np.sqrt(1 - _BETA1**t)),
            "This is the printed formula still: v does nothing, and m is divided by the root of "
            "its own correction. Divide m by 1 - beta1^t, and then by the root of v_hat.",
        ),
        KnownWrong(
            _adam(lambda m, v, t: m / (np.sqrt(v) + _EPS)),
            "The bias correction is missing: m and v start at 0 and are too small at first. "
            "m_hat = m / (1 - beta1^t), v_hat = v / (1 - beta2^t).",
        ),
        KnownWrong(
            _adam(lambda m, v, t: _hats(m, v, t)[0] / np.sqrt(_hats(m, v, t)[1] + _EPS)),
            "Your epsilon is inside the root. It belongs outside, sqrt(v_hat) + eps: inside, it "
            "becomes 1e-4 and swallows small gradients.",
        ),
        KnownWrong(
            _adam(lambda m, v, t: _hats(m, v, t)[0] / (np.sqrt(v / (1 - _BETA1**t)) + _EPS)),
            "v is corrected with beta1. It forgets at the rate beta2: v_hat = v / (1 - beta2^t).",
        ),
        KnownWrong(
            _adam(lambda m, v, t: _hats(m, v, t)[0] / (_hats(m, v, t)[1] + _EPS)),
            "The root is missing: m_hat / v_hat is larger the smaller the gradients are. Divide by "
            "sqrt(v_hat) + eps.",
        ),
        KnownWrong(
            _adam(lambda m, v, t: _hats(m, v, t)[0]),
            "v is kept and not used: the step is not divided by sqrt(v_hat) + eps, so this is "
            "momentum.",
        ),
        KnownWrong(
            _adam(_right, second=lambda v, g: _BETA2 * v + (1 - _BETA2) * g),
            "v averages the gradient, not its square: (1 - beta2) * g**2.",
        ),
    ),
    correct_alternatives=(_adam(_right), _one_rate),
    tolerance=1e-9,
    hints=(
        "At t = 1 with m = v = 0: which step should come out, whatever g is?",
        "Two corrections, one for each average: divide m by 1 - beta1**t and v by 1 - beta2**t.",
        "theta - alpha * m_hat / (np.sqrt(v_hat) + eps); return theta, m, v with m and v "
        "uncorrected.",
    ),
    notice="The third parameter has a tiny gradient all along and still moves like the others: "
    "that is what dividing by its own size does, and what the printed formula had lost.",
)
