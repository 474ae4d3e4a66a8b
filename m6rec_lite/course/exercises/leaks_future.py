"""Exercise ``leaks_future``: change the future, watch the past."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from m6rec_lite.course.exercises.engine import Exercise, Wrong

Model = Callable[[np.ndarray], np.ndarray]


def _with_mask(mask: Callable[[int], np.ndarray]) -> Model:
    """Self-attention under a mask."""

    def model(x: np.ndarray) -> np.ndarray:
        scores = np.where(mask(len(x)), x @ x.T / np.sqrt(x.shape[1]), -np.inf)
        return softmax(scores, axis=1) @ x

    return model


def _honest_sum(x: np.ndarray) -> np.ndarray:
    return np.tanh(np.cumsum(x, axis=0))


def _position_only(x: np.ndarray) -> np.ndarray:
    return np.ones_like(x) * np.arange(len(x))[:, None]


def _first_sees_all(n: int) -> np.ndarray:
    mask = np.tri(n, dtype=bool)
    mask[0] = True
    return mask


def _last_but_one(n: int) -> np.ndarray:
    mask = np.tri(n, dtype=bool)
    mask[n - 2, n - 1] = True
    return mask


def _one_sees(row: int, seen: int) -> Callable[[int], np.ndarray]:
    """A causal mask, but for one row that sees one later position."""

    def mask(n: int) -> np.ndarray:
        allowed = np.tri(n, dtype=bool)
        if seen < n:
            allowed[row, seen] = True
        return allowed

    return mask


#: Name of each model, the model, and the message for a test that misses its leak; "" where there
#: is none. The first model that a test gets wrong names the mistake, so the plainest come first.
_MODELS: tuple[tuple[str, Model, str], ...] = (
    (
        "attention without any mask",
        _with_mask(lambda n: np.ones((n, n), dtype=bool)),
        "Your test finds no leak in attention without a mask. Change the inputs from some position "
        "on, and compare the outputs before that position.",
    ),
    ("honest causal attention", _with_mask(lambda n: np.tri(n, dtype=bool)), ""),
    ("a running sum of the past", _honest_sum, ""),
    ("a model that looks at nothing but the position", _position_only, ""),
    (
        "a mask that is off by one: every position sees its next",
        _with_mask(lambda n: np.tri(n, k=1, dtype=bool)),
        "Your test misses a mask that is off by one. It shows only at the boundary: compare the "
        "output right before the first changed position.",
    ),
    (
        "a mask whose last row but one sees the last position",
        _with_mask(_last_but_one),
        "Your test misses a leak at the end of the row. Try every position t from 1 to the last.",
    ),
    (
        "a mask whose first row sees everything",
        _with_mask(_first_sees_all),
        "Your test misses a leak at the first position. Compare all outputs before the change, "
        "from position 0 on.",
    ),
    (
        "a running sum, less a hundredth of its mean over time",
        lambda x: _honest_sum(x) - 0.01 * _honest_sum(x).mean(axis=0),
        "Your test misses a mean over time, which carries a little of every input to every "
        "position: any change at all is a leak.",
    ),
    (
        "a mask whose position 0 sees position 1",
        _with_mask(_one_sees(0, 1)),
        "Your test misses a leak between the first two positions. To change the last input alone "
        "is not enough: try every position t from 1 on.",
    ),
    (
        "a mask whose position 0 sees position 2",
        _with_mask(_one_sees(0, 2)),
        "Your test misses a leak over two positions. Take sequences of six or more, and compare "
        "all outputs before the change, not only the one right before it.",
    ),
    (
        "a mask whose position 1 sees position 3",
        _with_mask(_one_sees(1, 3)),
        "Your test misses a leak from position 3 to position 1. Try every position t, and compare "
        "all outputs before it.",
    ),
)
_ACCUSED = (
    "Your test accuses an honest model. Compare the model's outputs on two inputs that differ from "
    "some position on, and leave out the outputs at and after it: those may change."
)


def _judge_test(leaks_future: Callable[[Model], bool]) -> None:
    if not callable(leaks_future):
        raise Wrong("Pass the function itself, without calling it.", output=leaks_future)
    for name, model, missed in _MODELS:
        answer, leaks = leaks_future(model), bool(missed)
        if not isinstance(answer, bool | np.bool_):
            raise Wrong("Return True or False.", inputs=name, output=answer, expected=leaks)
        if bool(answer) != leaks:
            raise Wrong(missed or _ACCUSED, inputs=name, output=bool(answer), expected=leaks)


EXERCISE = Exercise(
    id="leaks_future",
    title="Change the future, watch the past",
    check=_judge_test,
    hints=(
        "Make x of shape (6, 4) at random, copy it, and draw the copy anew from position t on.",
        "What may differ: outputs at t and after. What may not: outputs at 0 to t - 1.",
        "for t in range(1, 6): compare model(x)[:t] with model(changed)[:t] by np.allclose.",
    ),
    notice="A leak has no other symptom than success: the loss falls beautifully. The test costs a "
    "few lines and knows nothing of attention, so it holds for any model of sequences.",
)
