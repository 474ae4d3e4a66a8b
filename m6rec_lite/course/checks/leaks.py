"""Exercise 05.3: a test, written by the learner, that finds models which see the future."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.checks.attention_slips import masked_attention
from m6rec_lite.course.exercises import Exercise, KnownWrong, Wrong

Model = Callable[[np.ndarray], np.ndarray]


def _with_mask(mask: Callable[[int], np.ndarray]) -> Model:
    return lambda x: masked_attention(x, x, x, mask(len(x)))


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

_MISSED = {
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
_ACCUSED = (
    "Your test accuses an honest model. Compare the model's outputs on two inputs that differ from "
    "some place on, and leave out the outputs at and after it: those may change."
)


def _judge_test(sees_the_future: Callable[[Model], bool]) -> None:
    if not callable(sees_the_future):
        raise Wrong("Pass the function itself, without calling it.", got=sees_the_future)
    for name, model, leaks in _MODELS:
        found = sees_the_future(model)
        if not isinstance(found, bool | np.bool_):
            raise Wrong("Return True or False.", given=name, got=found, wanted=leaks)
        if bool(found) != leaks:
            told = _MISSED[name] if leaks else _ACCUSED
            raise Wrong(told, given=name, got=bool(found), wanted=leaks)


def _pair(t: int, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(t)
    x = rng.normal(size=(n, 4))
    changed = x.copy()
    changed[t:] = rng.normal(size=(n - t, 4))
    return x, changed


def _finds(model: Model, places: range = range(1, 6), watch: Callable = lambda t: slice(t)) -> bool:
    for t in places:
        x, changed = _pair(t)
        if not np.allclose(model(x)[watch(t)], model(changed)[watch(t)], atol=1e-9):
            return True
    return False


def _by_slope(model: Model) -> bool:
    """A right answer written otherwise: one input at a time is moved a little."""
    x = np.random.default_rng(0).normal(size=(7, 3))
    before = model(x)
    for t in range(1, 7):
        moved = x.copy()
        moved[t] += 1e-3
        if np.abs(model(moved) - before)[:t].max() > 1e-12:
            return True
    return False


FIND_LEAKS = Exercise(
    id="05.3",
    title="Change the future, watch the past",
    answer="sees_the_future",
    check=_judge_test,
    known_wrong=(
        KnownWrong(lambda model: False, _MISSED["attention without any mask"]),
        KnownWrong(
            lambda model: _finds(model, watch=lambda t: slice(None)),
            _ACCUSED,
        ),
        KnownWrong(
            lambda model: _finds(model, places=range(3, 4), watch=lambda t: slice(t - 1)),
            _MISSED["a mask that is off by one: every place sees its next"],
        ),
        KnownWrong(
            lambda model: _finds(model, places=range(3, 4)),
            _MISSED["a mask whose last row but one sees the last place"],
        ),
        KnownWrong(
            lambda model: _finds(model, watch=lambda t: slice(t - 1, t) if t > 1 else slice(0)),
            _MISSED["a mask whose first row sees everything"],
        ),
        KnownWrong(
            lambda model: any(
                np.abs(model(_pair(t)[0])[:t] - model(_pair(t)[1])[:t]).max() > 0.05
                for t in range(1, 6)
            ),
            _MISSED["a running sum, less a hundredth of its mean over time"],
        ),
        KnownWrong(
            lambda model: _finds(model, places=range(5, 6)),
            _MISSED["a mask whose place 0 sees place 1"],
        ),
        KnownWrong(
            lambda model: (
                not np.allclose(model(_pair(1, 2)[0])[:1], model(_pair(1, 2)[1])[:1], atol=1e-9)
            ),
            _MISSED["a mask whose place 0 sees place 2"],
        ),
        KnownWrong(
            lambda model: _finds(model, places=range(1, 2)) or _finds(model, places=range(5, 6)),
            _MISSED["a mask whose place 1 sees place 3"],
        ),
    ),
    correct_alternatives=(
        _finds,
        _by_slope,
        lambda model: _finds(model, watch=lambda t: slice(t - 1, t)),
    ),
    hints=(
        "Make x of shape (6, 4) at random, copy it, and draw the copy anew from place t on.",
        "What may differ: outputs at t and after. What may not: outputs at 0 to t - 1.",
        "for t in range(1, 6): compare model(x)[:t] with model(changed)[:t] by np.allclose.",
    ),
    notice="A leak has no other symptom than success: the loss falls beautifully. The test costs a "
    "few lines and knows nothing of attention, so it holds for any model of sequences.",
)
