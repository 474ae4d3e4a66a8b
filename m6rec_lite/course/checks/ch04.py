"""Exercises of chapter 04: gates, clipping; padding and the way back through time from beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.checks.padded_rows import LAST_STATE, MASKED_LOSS
from m6rec_lite.course.checks.through_time import BACK_THROUGH_TIME
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

_DRAWS = np.random.default_rng(4)

# 04.4 A GRU step


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


def _one_by_one(
    x: np.ndarray,
    h: np.ndarray,
    W_i: np.ndarray,
    W_h: np.ndarray,
    b_i: np.ndarray,
    b_h: np.ndarray,
) -> list[float]:
    """The same, unit after unit, in plain loops."""
    d, new = len(h), []
    for j in range(d):
        of_x = [float(W_i[gate * d + j] @ x + b_i[gate * d + j]) for gate in range(3)]
        of_h = [float(W_h[gate * d + j] @ h + b_h[gate * d + j]) for gate in range(3)]
        r, z = (1 / (1 + np.exp(-(a + b))) for a, b in zip(of_x[:2], of_h[:2], strict=True))
        n = np.tanh(of_x[2] + r * of_h[2])
        new.append(float(n + z * (h[j] - n)))
    return new


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

GRU_STEP = Exercise(
    id="04.4",
    title="A GRU step",
    answer="gru_step",
    cases=(
        Case(args=_PAPER, wanted=[0.4], note="all weights 0: both gates are 1/2, what is new is 0"),
        Case(
            args=(*_PAPER[:4], np.array([0.0, 50.0, 0.0]), _PAPER[5]),
            wanted=[0.8],
            note="a large bias of z: everything is kept",
        ),
        Case(args=_STEP, wanted=_gru(*_STEP), note="two numbers in, a state of three"),
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
    correct_alternatives=(
        _slip(""),
        _one_by_one,
        lambda x, h, W_i, W_h, b_i, b_h: _gru(x, h, W_i, W_h, b_i, b_h).tolist(),
    ),
    hints=(
        "Six products: three maps of x, three of h. np.split(..., 3) takes the maps apart.",
        "r and z are sigmoids of sums; n is the tanh of x's part plus r times h's part.",
        "The new state is (1 - z) * n + z * h.",
    ),
    notice="With all weights 0 half of the state is lost at each step: that is the fresh gate of "
    "part 4. A large bias of z keeps everything, and a gradient travels along what is kept.",
)


# 04.5 Clip by the norm

Arrays = list[np.ndarray]


def _norm(gradients: Arrays) -> float:
    return float(np.sqrt(sum((np.asarray(g) ** 2).sum() for g in gradients)))


def _scaled(gradients: Arrays, share: float) -> Arrays:
    return [np.asarray(g) * share for g in gradients]


def _clip(gradients: Arrays, limit: float) -> Arrays:
    norm = _norm(gradients)
    return _scaled(gradients, limit / norm if norm > limit else 1.0)


def _always(gradients: Arrays, limit: float) -> Arrays:
    with np.errstate(invalid="ignore", divide="ignore"):
        return [np.asarray(g) * np.divide(limit, _norm(gradients)) for g in gradients]


def _flat(gradients: Arrays, limit: float) -> Arrays:
    """All entries in one vector, scaled, and cut up again."""
    parts = [np.asarray(g, dtype=float) for g in gradients]
    line = np.concatenate([g.ravel() for g in parts])
    line = line * min(1.0, limit / max(np.linalg.norm(line), 1e-300))
    cuts = np.split(line, np.cumsum([g.size for g in parts])[:-1])
    return [cut.reshape(g.shape) for cut, g in zip(cuts, parts, strict=True)]


def _no_root(gradients: Arrays, limit: float) -> Arrays:
    square = _norm(gradients) ** 2
    return _scaled(gradients, limit / square if square > limit else 1.0)


_PAIR = [np.array([3.0, 0.0]), np.array([[4.0]])]
_MANY = [_DRAWS.normal(size=(2, 3)).round(1), _DRAWS.normal(size=4).round(1)]

CLIP_BY_NORM = Exercise(
    id="04.5",
    title="Clip by the norm",
    answer="clip_by_norm",
    cases=(
        Case(
            args=(_PAIR, 1.0),
            wanted=[np.array([0.6, 0.0]), np.array([[0.8]])],
            note="together 5 long",
        ),
        Case(args=(_PAIR, 4.5), wanted=_clip(_PAIR, 4.5), note="each fits, together they do not"),
        Case(args=(_PAIR, 10.0), wanted=_PAIR, note="short enough already"),
        Case(
            args=([np.zeros(2), np.zeros(1)], 1.0),
            wanted=[np.zeros(2), np.zeros(1)],
            note="no gradient at all",
        ),
        Case(args=(_MANY, 0.5), wanted=_clip(_MANY, 0.5), note="other signs and shapes"),
    ),
    known_wrong=(
        KnownWrong(
            lambda gradients, limit: [np.clip(g, -limit, limit) for g in gradients],
            "That clips entry by entry: (3, 4) becomes (1, 1), which points elsewhere. Scale all "
            "of it by one factor.",
        ),
        KnownWrong(
            lambda gradients, limit: [_clip([g], limit)[0] for g in gradients],
            "Each array is clipped by its own norm, which changes their proportions. One norm over "
            "all of them.",
        ),
        KnownWrong(
            _always,
            "Every gradient is brought to the limit, short ones are made longer. Only shorten: the "
            "factor is at most 1.",
        ),
        KnownWrong(
            lambda gradients, limit: _scaled(
                gradients, min(1.0, limit / max(_norm(gradients) + 1, 1))
            ),
            "1 is added to the norm. To avoid dividing by 0, ask first whether the norm is above "
            "the limit.",
        ),
        KnownWrong(
            _no_root,
            "The sum of squares is taken for the norm: the root is missing.",
        ),
        KnownWrong(
            lambda gradients, limit: _scaled(
                gradients,
                min(1.0, limit / max(float(sum(np.abs(g).sum() for g in gradients)), 1e-9)),
            ),
            "That is the sum of absolute values. The length of a vector is the root of its sum of "
            "squares.",
        ),
    ),
    correct_alternatives=(_clip, _flat),
    hints=(
        "How long is the vector of *all* entries, of all arrays?",
        "norm = np.sqrt(sum((g**2).sum() for g in gradients)).",
        "One factor for all: limit / norm if norm is above limit, else 1.",
    ),
    notice="The direction is kept, so a clipped step still goes down. torch's "
    "`clip_grad_norm_` does this in place and returns the norm: log it: explosions show early.",
)


EXERCISES = (LAST_STATE, MASKED_LOSS, BACK_THROUGH_TIME, GRU_STEP, CLIP_BY_NORM)
