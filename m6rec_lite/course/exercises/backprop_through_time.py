"""Exercise ``backprop_through_time``: a slip on the way back through time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Gradients = tuple[np.ndarray, np.ndarray]


def _forward(x: np.ndarray, W_i: np.ndarray, W_h: np.ndarray) -> np.ndarray:
    """(T + 1, d): the states, from h_0 = 0 on."""
    h = [np.zeros(len(W_h))]
    for x_t in x:
        h.append(np.tanh(W_i @ x_t + W_h @ h[-1]))
    return np.array(h)


def backward(
    x: np.ndarray, W_i: np.ndarray, W_h: np.ndarray, slope: np.ndarray, *, slip: str = ""
) -> Gradients:
    """Gradients by W_i and W_h of a loss whose slope at the last state is given."""
    h = _forward(x, W_i, W_h)
    dW_i, dW_h = np.zeros_like(W_i), np.zeros_like(W_h)
    back = np.asarray(slope, dtype=float)  # the gradient by h_t
    for t in range(len(x), 0, -1):
        bend = {"no tanh": 1.0, "derivative of a": 1 - h[t]}.get(slip, 1 - h[t] ** 2)
        if slip == "state before":
            bend = 1 - h[t - 1] ** 2
        delta = bend * back
        seen = h[t] if slip == "state after" else h[t - 1]
        if slip == "last only" and t < len(x):
            break
        if slip == "overwritten":
            dW_i, dW_h = np.outer(delta, x[t - 1]), np.outer(delta, seen)
        else:
            dW_i, dW_h = dW_i + np.outer(delta, x[t - 1]), dW_h + np.outer(delta, seen)
        back = (W_h if slip == "not transposed" else W_h.T) @ delta
    return dW_i, dW_h


def _slip(name: str) -> Callable[..., Any]:
    """The way back with one mistake."""
    return lambda x, W_i, W_h, slope: backward(x, W_i, W_h, slope, slip=name)


_W_I, _W_H = float(np.log(2)), float(np.log(1.5) / 0.6)
_PAPER = (np.array([[1.0], [1.0]]), np.array([[_W_I]]), np.array([[_W_H]]), np.array([1.0]))
_DRAWS = np.random.default_rng(3)
_TEN = (
    _DRAWS.normal(size=(10, 2)).round(1),
    _DRAWS.normal(size=(3, 2)).round(1),
    _DRAWS.normal(size=(3, 3)).round(1),
    np.array([1.0, -1.0, 0.5]),
)
_ONE = (_TEN[0][:1], *_TEN[1:])

EXERCISE = Exercise(
    id="backprop_through_time",
    title="A slip on the way back through time",
    cases=(
        Case(
            args=_PAPER,
            expected=([[0.36 * (1 + _W_H * 0.64)]], [[0.216]]),
            note="the two steps of the chapter",
        ),
        Case(args=_ONE, expected=backward(*_ONE), note="a single step"),
        Case(args=_TEN, expected=backward(*_TEN), note="ten steps, a state of three"),
    ),
    known_wrong=(
        KnownWrong(
            _slip("overwritten"),
            "Nothing adds up: each step replaces what the step behind it found. The weights are "
            "the same at every step, so their gradients add.",
        ),
        KnownWrong(
            _slip("not transposed"),
            "The way back goes through W_h as the way there did. Forward is W_h @ h; back it is "
            "the transpose, W_h.T @ delta. One number as state cannot show it.",
        ),
        KnownWrong(
            _slip("state after"),
            "W_h met the state *before* the step, h[t - 1], not the one that came out of it.",
        ),
        KnownWrong(
            _slip("no tanh"),
            "The slope of the tanh is missing: 1 - h[t] ** 2.",
        ),
        KnownWrong(
            _slip("derivative of a"),
            "The slope of the tanh is 1 - h ** 2, not 1 - h.",
        ),
        KnownWrong(
            _slip("state before"),
            "The slope of the tanh is taken at the state before the step. It belongs to what came "
            "out: 1 - h[t] ** 2.",
        ),
        KnownWrong(
            _slip("last only"),
            "Only the last step is counted: that is a gradient that does not go back through time.",
        ),
    ),
    tolerance=1e-5,
    hints=(
        "Compare with the two steps on paper. Which of the two gradients is off there, and why?",
        "Now a state of three: what does the way back do that a single number cannot show?",
        "delta = (1 - h[t] ** 2) * back; add the outer products; back = W_h.T @ delta.",
    ),
    notice="A gradient with a slip still goes down for a while, and learns the last steps: nothing "
    "looks broken. Only a comparison, with autograd or with differences, shows it.",
)
