"""Exercise ``adam_step``: an Adam without its denominator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

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


_STATE = (
    np.array([1.0, -2.0, 0.5]),
    np.array([0.1, -3.0, 1e-9]),
    np.array([0.02, 0.5, 0.0]),
    np.array([0.3, 0.01, 1e-17]),
)
_FIRST = (np.zeros(3), np.array([1000.0, -0.001, 2.0]), np.zeros(3), np.zeros(3))

EXERCISE = Exercise(
    id="adam_step",
    title="An Adam without its denominator",
    cases=(
        Case(
            args=(*_FIRST, 1, 0.1),
            expected=_adam(_right)(*_FIRST, 1, 0.1),
            note="the first step is alpha times the sign of g",
        ),
        Case(args=(*_STATE, 5, 0.1), expected=_adam(_right)(*_STATE, 5, 0.1)),
        Case(args=(*_STATE, 2000, 0.1), expected=_adam(_right)(*_STATE, 2000, 0.1), note="late"),
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
