"""Exercise ``masked_history_loss``: a softmax without the items of the history."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Items = Sequence[Sequence[int]]


def _hidden(logits: np.ndarray, history: Items, target: np.ndarray) -> np.ndarray:
    """Which items of each row are left out, ``(n, n_items)`` bool."""
    hidden = np.zeros(logits.shape, dtype=bool)
    for row, items in enumerate(history):
        hidden[row, list(items)] = True
    hidden[np.arange(len(target)), target] = False
    return hidden


def _losses(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The cross-entropy of each row, ``(n,)``."""
    return logsumexp(logits, axis=1) - logits[np.arange(len(target)), target]


def _masked(logits: np.ndarray, history: Items, target: np.ndarray) -> float:
    """The right answer."""
    hidden = _hidden(logits, history, target)
    return float(_losses(np.where(hidden, -np.inf, logits), target).mean())


def _unmasked(logits: np.ndarray, history: Items, target: np.ndarray) -> float:
    return float(_losses(logits, target).mean())


def _target_masked(logits: np.ndarray, history: Items, target: np.ndarray) -> float:
    hidden = np.zeros(logits.shape, dtype=bool)
    for row, items in enumerate(history):
        hidden[row, list(items)] = True
    with np.errstate(invalid="ignore"):
        return float(_losses(np.where(hidden, -np.inf, logits), target).mean())


def _zero_logit(logits: np.ndarray, history: Items, target: np.ndarray) -> float:
    return float(_losses(np.where(_hidden(logits, history, target), 0.0, logits), target).mean())


def _everybody(logits: np.ndarray, history: Items, target: np.ndarray) -> float:
    every = sorted({item for items in history for item in items})
    return _masked(logits, [every] * len(target), target)


def _history_alone(logits: np.ndarray, history: Items, target: np.ndarray) -> float:
    kept = _hidden(logits, history, target)
    kept[np.arange(len(target)), target] = True
    return float(_losses(np.where(kept, logits, -np.inf), target).mean())


def _without_maximum(logits: np.ndarray, history: Items, target: np.ndarray) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp(logits) * ~_hidden(logits, history, target)
        right = weights[np.arange(len(target)), target]
        return float(-np.log(right / weights.sum(axis=1)).mean())


_LOGITS = np.array([[2.0, 1.0, 0.0, -1.0], [0.5, -0.5, 3.0, 1.0]])
_TARGET = np.array([1, 3])
_ROWS = (
    (_LOGITS, [[0], [2, 0]], "each person has a history"),
    (_LOGITS, [[], [2]], "a person without a history"),
    (_LOGITS, [[0, 1], [2, 3]], "the target was taken before"),
    (_LOGITS, [[0, 2, 3], [1]], "only the target is left: its loss is 0"),
    (_LOGITS + 1000, [[0, 0], [2]], "large logits, and an item that comes twice"),
)

EXERCISE = Exercise(
    id="masked_history_loss",
    title="A softmax without the items of the history",
    cases=tuple(
        Case((logits, history, _TARGET), _masked(logits, history, _TARGET), note=note)
        for logits, history, note in _ROWS
    ),
    known_wrong=(
        KnownWrong(
            _unmasked,
            "The items of the history still take a share of the softmax. Leave them out *before* "
            "it: a product with the mask afterwards does not add up to 1.",
        ),
        KnownWrong(
            _target_masked,
            "The target is left out where it is in the history, so its loss is infinite. The "
            "target always stays.",
        ),
        KnownWrong(
            _zero_logit,
            "A logit of 0 is a weight of 1 before normalising. Only -inf leaves an item out.",
        ),
        KnownWrong(
            _everybody,
            "Every row leaves out the items of all histories. Each person has an own history.",
        ),
        KnownWrong(
            _history_alone,
            "The mask is inverted: the items of the history are left out, the others stay.",
        ),
        KnownWrong(
            _without_maximum,
            "The numbers overflow: e to the 1000 is infinite. Subtract the largest logit of each "
            "row first.",
        ),
        KnownWrong(
            lambda logits, history, target: _masked(logits, history, target) * len(target),
            "Summed over the people, not averaged: it grows with the batch.",
        ),
    ),
    hints=(
        "Make a copy of the logits, and set what is left out to -inf, row by row.",
        "Put the target's own logit back afterwards: it may be in the history.",
        "Subtract the row's maximum; the loss is ln(sum of exp) less the target's logit.",
    ),
    notice="If people take things again, the items of the history are the best candidates, and "
    "this mask removes them from training: count the repeats among your questions first.",
)
