"""Exercise ``clip_by_norm``: clip by the norm."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_DRAWS = np.random.default_rng(4)
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


def _no_root(gradients: Arrays, limit: float) -> Arrays:
    square = _norm(gradients) ** 2
    return _scaled(gradients, limit / square if square > limit else 1.0)


_PAIR = [np.array([3.0, 0.0]), np.array([[4.0]])]
_MANY = [_DRAWS.normal(size=(2, 3)).round(1), _DRAWS.normal(size=4).round(1)]

EXERCISE = Exercise(
    id="clip_by_norm",
    title="Clip by the norm",
    cases=(
        Case(
            args=(_PAIR, 1.0),
            expected=[np.array([0.6, 0.0]), np.array([[0.8]])],
            note="together 5 long",
        ),
        Case(args=(_PAIR, 4.5), expected=_clip(_PAIR, 4.5), note="each fits, together they do not"),
        Case(args=(_PAIR, 10.0), expected=_PAIR, note="short enough already"),
        Case(
            args=([np.zeros(2), np.zeros(1)], 1.0),
            expected=[np.zeros(2), np.zeros(1)],
            note="no gradient at all",
        ),
        Case(args=(_MANY, 0.5), expected=_clip(_MANY, 0.5), note="other signs and shapes"),
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
    hints=(
        "How long is the vector of *all* entries, of all arrays?",
        "norm = np.sqrt(sum((g**2).sum() for g in gradients)).",
        "One factor for all: limit / norm if norm is above limit, else 1.",
    ),
    notice="The direction is kept, so a clipped step still goes down. torch's "
    "`clip_grad_norm_` does this in place and returns the norm: log it: explosions show early.",
)
