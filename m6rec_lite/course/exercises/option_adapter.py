"""Exercise ``option_adapter``: a branch beside the feed-forward network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Weights = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def _branch(z: np.ndarray, weights: Weights) -> np.ndarray:
    w1, b1, w2, b2 = weights
    return _relu(z @ w1 + b1) @ w2 + b2


def _case(z: np.ndarray, ffn: np.ndarray, weights: Weights, scale: float, note: str = "") -> Case:
    return Case((z, ffn, *weights, scale), ffn + scale * _branch(z, weights), note=note)


def _wrong(form: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda z, ffn, w1, b1, w2, b2, scale: form(z, ffn, (w1, b1, w2, b2), scale)


def _on_output(z: np.ndarray, ffn: np.ndarray, weights: Weights, scale: float) -> np.ndarray:
    return ffn + scale * _branch(ffn, weights)


def _bias_outside(z: np.ndarray, ffn: np.ndarray, weights: Weights, scale: float) -> np.ndarray:
    w1, b1, w2, b2 = weights
    return ffn + scale * (_relu(z @ w1 + b1) @ w2) + b2


def _linear(z: np.ndarray, ffn: np.ndarray, weights: Weights, scale: float) -> np.ndarray:
    w1, b1, w2, b2 = weights
    return ffn + scale * ((z @ w1 + b1) @ w2 + b2)


_WEIGHTS: Weights = (
    np.array([[1.0], [-1.0]]),
    np.array([0.5]),
    np.array([[2.0, 1.0]]),
    np.array([0.0, 1.0]),
)
_TWO_WIDE: Weights = (
    np.array([[1.0, 0.5], [-1.0, 2.0]]),
    np.array([0.5, -0.25]),
    np.array([[2.0, 1.0], [-1.0, 3.0]]),
    np.array([0.0, 1.0]),
)
_Z = np.array([[1.0, 0.0], [0.0, 2.0], [0.5, 0.25]])
_FFN = np.array([[0.0, 0.0], [1.0, -1.0], [2.0, 0.5]])

EXERCISE = Exercise(
    id="option_adapter",
    title="A branch beside the feed-forward network",
    cases=(
        Case(
            (_Z[:2], _FFN[:2], *_WEIGHTS, 2.0),
            np.array([[6.0, 5.0], [1.0, 1.0]]),
            note="on paper; the second unit is off",
        ),
        _case(_Z, _FFN, _WEIGHTS, 0.5),
        _case(_Z, _FFN, _TWO_WIDE, 2.0, note="two hidden units"),
        _case(_Z, _FFN, _WEIGHTS, 0.0, note="λ = 0: the pretrained network"),
    ),
    known_wrong=(
        KnownWrong(
            _wrong(_on_output),
            "The branch reads the output of the feed-forward network: that is a Houlsby adapter, "
            "in series. The option-adapter reads Z, in parallel.",
        ),
        KnownWrong(
            _wrong(lambda z, ffn, weights, scale: ffn + _branch(z, weights)),
            "λ is missing: with it at 0 the pretrained network must come out.",
        ),
        KnownWrong(
            _wrong(lambda z, ffn, weights, scale: scale * (ffn + _branch(z, weights))),
            "λ multiplies the branch alone; the feed-forward network keeps its weight.",
        ),
        KnownWrong(
            _wrong(_bias_outside),
            "b2 stands inside the brackets, so λ multiplies it too.",
        ),
        KnownWrong(_wrong(_linear), "The non-linearity is missing: σ stands between W1 and W2."),
        KnownWrong(
            _wrong(lambda z, ffn, weights, scale: z + ffn + scale * _branch(z, weights)),
            "Z is added: the residual connection belongs to the block, not to this formula.",
        ),
        KnownWrong(
            _wrong(lambda z, ffn, weights, scale: scale * _branch(z, weights)),
            "The feed-forward network itself is missing.",
        ),
    ),
    hints=(
        "The branch: z @ w1 + b1, then the larger of that and 0, then @ w2 + b2.",
        "λ multiplies the whole branch, b2 included.",
        "Add it to ffn.",
    ),
    notice="With λ = 0, or w2 and b2 at 0, the model is the pretrained one. The branch is a few "
    "further hidden units of the feed-forward network, if σ is the same.",
)
