"""Exercise ``gated_fusion``: a gate, and a part that is missing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, softmax

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _gated(title, description, there, W, c, decide=expit, blank=0.0) -> np.ndarray:
    """The right answer; with another way to decide, a wrong one."""
    description = np.where(there[:, None], description, blank)
    g = decide(np.concatenate([title, description], axis=1) @ W + c)
    return np.where(there[:, None], g * title + (1 - g) * description, title)


def _missing_as_zero(title, description, there, W, c) -> np.ndarray:
    description = np.where(there[:, None], description, 0.0)
    g = expit(np.concatenate([title, description], axis=1) @ W + c)
    return g * title + (1 - g) * description


def _unmasked(title, description, there, W, c) -> np.ndarray:
    g = expit(np.concatenate([title, description], axis=1) @ W + c)
    return g * title + (1 - g) * description


def _absent_if(absent: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """The right rule, with ``there`` guessed from the descriptions."""
    return lambda title, description, there, W, c: _gated(
        title, description, ~absent(description).all(axis=1), W, c
    )


def _turned(title, description, there, W, c) -> np.ndarray:
    return np.where(
        there[:, None],
        title
        + np.where(there[:, None], description, 0.0)
        - _gated(title, description, there, W, c),
        title,
    )


def _dropped(title, description, there, W, c) -> np.ndarray:
    return _gated(title, description, there, W, c)[there]


_TITLE = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, -1.0]])
_DESCRIPTION = np.array([[-1.0, 4.0], [2.0, 2.0], [np.nan, np.nan]])
_THERE = np.array([True, True, False])
_W = np.array([[1.0, 0.0], [0.0, -1.0], [0.5, 0.0], [0.0, 0.25]])
_C = np.array([0.0, 0.5])


def _gate_cases() -> tuple[Case, ...]:
    certain = np.array([50.0, -50.0])  # the first dimension from the title, the second not
    both, zero = (_TITLE[:2], _DESCRIPTION[:2], _THERE[:2]), np.zeros((4, 2))
    return (
        Case((*both, zero, np.zeros(2)), [[0.0, 2.0], [1.0, 2.0]], note="a gate of one half"),
        Case((*both, zero, certain), [[1.0, 4.0], [0.0, 2.0]], note="a gate that is sure"),
        Case(
            (_TITLE, _DESCRIPTION, _THERE, _W, _C),
            _gated(_TITLE, _DESCRIPTION, _THERE, _W, _C),
            note="the last item has no description",
        ),
        Case(
            (_TITLE[:2], np.array([[0.0, 0.0], [7.0, 7.0]]), np.array([True, False]), _W, _C),
            [[expit(1.0), 0.0], [0.0, 2.0]],
            note="a description of zeros, and numbers where there is none",
        ),
    )


EXERCISE = Exercise(
    id="gated_fusion",
    title="A gate, and a part that is missing",
    cases=_gate_cases,
    known_wrong=(
        KnownWrong(
            _unmasked,
            "NaN spreads: 0 times NaN is NaN. Put numbers where the description is missing before "
            "anything is multiplied.",
        ),
        KnownWrong(
            _missing_as_zero,
            "A missing description is taken for a vector of zeros, so the gate shrinks the title. "
            "An item without a description is its title, whole.",
        ),
        KnownWrong(
            _turned,
            "The gate is turned round: g weighs the title and 1 - g the description.",
        ),
        KnownWrong(
            lambda *given: _gated(*given, decide=lambda x: softmax(x, axis=1)),
            "A softmax over dimensions makes them compete with each other. Each decides for "
            "itself: a sigmoid.",
        ),
        KnownWrong(
            lambda *given: _gated(*given, decide=lambda x: x),
            "The sigmoid is missing: g must lie between 0 and 1.",
        ),
        KnownWrong(
            lambda title, description, there, W, c: np.where(
                there[:, None], (title + np.nan_to_num(description)) / 2, title
            ),
            "That is the plain mean: the gate is not asked.",
        ),
        KnownWrong(
            _dropped,
            "Items without a description are gone: there is a row for each item.",
        ),
        KnownWrong(
            _absent_if(np.isnan),
            "What is missing is guessed from NaN. `there` says it, and a table may hold any "
            "number where nothing is.",
        ),
        KnownWrong(
            _absent_if(lambda description: (description == 0) | np.isnan(description)),
            "A description of zeros is taken for a missing one. Zeros are numbers like others: ask "
            "`there`.",
        ),
    ),
    hints=(
        "What shall come out for an item without a description, whatever W and c are?",
        "x = np.concatenate([title, description], axis=1), g = 1 / (1 + np.exp(-(x @ W + c))).",
        "np.where(there[:, None], g * title + (1 - g) * description, title), NaN made 0 before.",
    ),
    notice="Missing is not zero. The package's fusions take a mask for the same reason, and their "
    "tests put NaN where nothing is.",
)
