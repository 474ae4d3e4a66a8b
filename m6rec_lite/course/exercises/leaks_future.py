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


def _place_only(x: np.ndarray) -> np.ndarray:
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
    """A causal mask, but for one row that sees one later place."""

    def mask(n: int) -> np.ndarray:
        allowed = np.tri(n, dtype=bool)
        if seen < n:
            allowed[row, seen] = True
        return allowed

    return mask


#: What is told when a test gets a model wrong, the models, and whether they leak. The first
#: model that a test gets wrong names the mistake, so the plainest come first.
_MODELS: tuple[tuple[str, Model, bool], ...] = (
    (
        "attention without any mask",
        _with_mask(lambda n: np.ones((n, n), dtype=bool)),
        True,
    ),
    ("honest causal attention", _with_mask(lambda n: np.tri(n, dtype=bool)), False),
    ("a running sum of the past", _honest_sum, False),
    ("a model that looks at nothing but the place", _place_only, False),
    (
        "a mask that is off by one: every place sees its next",
        _with_mask(lambda n: np.tri(n, k=1, dtype=bool)),
        True,
    ),
    ("a mask whose last row but one sees the last place", _with_mask(_last_but_one), True),
    ("a mask whose first row sees everything", _with_mask(_first_sees_all), True),
    (
        "a running sum, less a hundredth of its mean over time",
        lambda x: _honest_sum(x) - 0.01 * _honest_sum(x).mean(axis=0),
        True,
    ),
    ("a mask whose place 0 sees place 1", _with_mask(_one_sees(0, 1)), True),
    ("a mask whose place 0 sees place 2", _with_mask(_one_sees(0, 2)), True),
    ("a mask whose place 1 sees place 3", _with_mask(_one_sees(1, 3)), True),
)
MISSED = {
    "attention without any mask": "Your test finds no leak in attention without a mask. Change the "
    "inputs from some place on, and compare the outputs before that place.",
    "a mask that is off by one: every place sees its next": "Your test misses a mask that is off "
    "by one. It shows only at the border: compare the output right before the first changed place.",
    "a mask whose last row but one sees the last place": "Your test misses a leak at the end of "
    "the row. Try every place t from 1 to the last.",
    "a mask whose first row sees everything": "Your test misses a leak at the first place. Compare "
    "all outputs before the change, from place 0 on.",
    "a running sum, less a hundredth of its mean over time": "Your test misses a mean over time, "
    "which carries a little of every input to every place: any change at all is a leak.",
    "a mask whose place 0 sees place 1": "Your test misses a leak between the first two places. "
    "To change the last input alone is not enough: try every place t from 1 on.",
    "a mask whose place 0 sees place 2": "Your test misses a leak over two places. Take sequences "
    "of six or more, and compare all outputs before the change, not only the one right before it.",
    "a mask whose place 1 sees place 3": "Your test misses a leak from place 3 to place 1. Try "
    "every place t, and compare all outputs before it.",
}
ACCUSED = (
    "Your test accuses an honest model. Compare the model's outputs on two inputs that differ from "
    "some place on, and leave out the outputs at and after it: those may change."
)


def _judge_test(leaks_future: Callable[[Model], bool]) -> None:
    if not callable(leaks_future):
        raise Wrong("Pass the function itself, without calling it.", output=leaks_future)
    for name, model, leaks in _MODELS:
        found = leaks_future(model)
        if not isinstance(found, bool | np.bool_):
            raise Wrong("Return True or False.", inputs=name, output=found, expected=leaks)
        if bool(found) != leaks:
            told = MISSED[name] if leaks else ACCUSED
            raise Wrong(told, inputs=name, output=bool(found), expected=leaks)


EXERCISE = Exercise(
    id="leaks_future",
    title="Change the future, watch the past",
    check=_judge_test,
    hints=(
        "Make x of shape (6, 4) at random, copy it, and draw the copy anew from place t on.",
        "What may differ: outputs at t and after. What may not: outputs at 0 to t - 1.",
        "for t in range(1, 6): compare model(x)[:t] with model(changed)[:t] by np.allclose.",
    ),
    notice="A leak has no other symptom than success: the loss falls beautifully. The test costs a "
    "few lines and knows nothing of attention, so it holds for any model of sequences.",
)
