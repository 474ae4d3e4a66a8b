"""Exercise ``gru_step``: a GRU step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_DRAWS = np.random.default_rng(4)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _gru(
    x: np.ndarray,
    h: np.ndarray,
    W_i: np.ndarray,
    W_h: np.ndarray,
    b_i: np.ndarray,
    b_h: np.ndarray,
    *,
    slip: str = "",
) -> np.ndarray:
    """A GRU step in torch's order of maps; ``slip`` names a mistake to make."""
    x_r, x_z, x_n = np.split(W_i @ x + b_i, 3)
    h_r, h_z, h_n = np.split(W_h @ h + b_h, 3)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    if slip == "order":
        r, z = z, r
    inside = x_n + r * h_n
    if slip == "no reset":
        inside = x_n + h_n
    if slip == "reset inside":
        inside = x_n + np.split(W_h @ (r * h) + b_h, 3)[2]
    if slip == "reset both":
        inside = r * (x_n + h_n)
    n = _sigmoid(inside) if slip == "sigmoid" else np.tanh(inside)
    if slip == "keep":
        return z * n + (1 - z) * h
    return (1 - z) * n + z * h


def _slip(name: str) -> Callable[..., Any]:
    """The step with one mistake."""
    return lambda x, h, W_i, W_h, b_i, b_h: _gru(x, h, W_i, W_h, b_i, b_h, slip=name)


_STEP = (
    _DRAWS.normal(size=2).round(1),
    _DRAWS.normal(size=3).round(1),
    _DRAWS.normal(size=(9, 2)).round(1),
    _DRAWS.normal(size=(9, 3)).round(1),
    _DRAWS.normal(size=9).round(1),
    _DRAWS.normal(size=9).round(1),
)
_ZEROS = tuple(np.zeros(shape) for shape in (1, (3, 1), (3, 1), 3))
_PAPER = (np.zeros(1), np.array([0.8]), _ZEROS[1], _ZEROS[2], _ZEROS[3], _ZEROS[3])

EXERCISE = Exercise(
    id="gru_step",
    title="A GRU step",
    cases=(
        Case(
            args=_PAPER, expected=[0.4], note="all weights 0: both gates are 1/2, what is new is 0"
        ),
        Case(
            args=(*_PAPER[:4], np.array([0.0, 50.0, 0.0]), _PAPER[5]),
            expected=[0.8],
            note="a large bias of z: everything is kept",
        ),
        Case(args=_STEP, expected=_gru(*_STEP), note="two numbers in, a state of three"),
    ),
    known_wrong=(
        KnownWrong(
            _slip("keep"),
            "The gate z is turned round: here z is the share of the old state that is kept, and "
            "1 - z takes what is new. (Some papers write it the other way; torch does not.)",
        ),
        KnownWrong(
            _slip("order"),
            "The gates are taken in the wrong order: the three maps lie one upon another as r, z, "
            "n.",
        ),
        KnownWrong(
            _slip("no reset"),
            "The gate r is not used: it scales what the old state says to n.",
        ),
        KnownWrong(
            _slip("reset inside"),
            "r scales the state before its map. So it was first published; here, as in torch, it "
            "scales W_h h + b_h.",
        ),
        KnownWrong(
            _slip("reset both"),
            "r scales the input too. It belongs to W_h h + b_h alone.",
        ),
        KnownWrong(
            _slip("sigmoid"),
            "What is new comes from a sigmoid, which is never negative: n is a tanh, only gates "
            "are sigmoids.",
        ),
    ),
    hints=(
        "Six products: three maps of x, three of h. np.split(..., 3) takes the maps apart.",
        "r and z are sigmoids of sums; n is the tanh of x's part plus r times h's part.",
        "The new state is (1 - z) * n + z * h.",
    ),
    notice="With all weights 0 half of the state is lost at each step: that is the fresh gate of "
    "part 4. A large bias of z keeps everything, and a gradient travels along what is kept.",
)
