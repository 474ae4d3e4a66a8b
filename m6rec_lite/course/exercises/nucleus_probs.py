"""Exercise ``nucleus_probs``: nucleus sampling."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _order(probs: np.ndarray) -> np.ndarray:
    return np.argsort(-np.asarray(probs), kind="stable")


def _keep(probs: np.ndarray, n: int) -> np.ndarray:
    kept = np.zeros(len(probs))
    chosen = _order(probs)[:n]
    kept[chosen] = np.asarray(probs)[chosen]
    return kept


def _size(probs: np.ndarray, p: float) -> int:
    """How many of the likeliest reach p."""
    return int((np.cumsum(np.asarray(probs)[_order(probs)]) < p).sum()) + 1


def _normal(kept: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return kept / kept.sum()


def _nucleus(probs: np.ndarray, p: float) -> np.ndarray:
    return _normal(_keep(probs, _size(probs, p)))


def _at_most(probs: np.ndarray, p: float) -> np.ndarray:
    """Keeps tokens while the sum with them is at most p."""
    return _normal(_keep(probs, int((np.cumsum(np.sort(probs)[::-1]) <= p).sum())))


def _with_all_ties(probs: np.ndarray, p: float) -> np.ndarray:
    """Keeps every token that is as probable as the last one."""
    least = np.sort(probs)[::-1][_size(probs, p) - 1]
    return _normal(np.where(np.asarray(probs) >= least, probs, 0))


_FALLING = np.array([0.5, 0.25, 0.125, 0.125])
_RISING = np.array([0.125, 0.125, 0.25, 0.5])
_MIXED = np.array([0.125, 0.5, 0.0625, 0.25, 0.0625])
_TWO_VALUES = np.array([1, 3] * 32) / 128

EXERCISE = Exercise(
    id="nucleus_probs",
    title="Nucleus sampling",
    cases=(
        Case(args=(_FALLING, 0.7), expected=[2 / 3, 1 / 3, 0, 0], note="1/2 is too little"),
        Case(args=(_FALLING, 0.75), expected=[2 / 3, 1 / 3, 0, 0], note="exactly reached"),
        Case(args=(_MIXED, 0.8), expected=_nucleus(_MIXED, 0.8), note="not in order"),
        Case(args=(_MIXED, 0.3), expected=[0, 1, 0, 0, 0], note="one token is enough: greedy"),
        Case(args=(_FALLING, 1.0), expected=_FALLING, note="p = 1 keeps everything"),
        Case(args=(_FALLING, 0.8), expected=_nucleus(_FALLING, 0.8), note="a tie: the earlier one"),
        Case(
            args=(np.full(32, 1 / 32), 0.5),
            expected=[1 / 16] * 16 + [0] * 16,
            note="32 tokens tie",
        ),
        Case(args=(_RISING, 0.7), expected=[0, 0, 1 / 3, 2 / 3], note="the likeliest comes last"),
        Case(
            args=(_TWO_VALUES, 0.5),
            expected=_nucleus(_TWO_VALUES, 0.5),
            note="32 tokens of 3/128 and 32 of 1/128 by turns",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda probs, p: _normal(_keep(probs, max(1, _size(probs, p) - 1))),
            "The token that crosses p is left out, so what is kept sums to less than p. Keep the "
            "smallest set that *reaches* p.",
        ),
        KnownWrong(
            lambda probs, p: _normal(
                _keep(probs, int((np.cumsum(np.sort(probs)[::-1]) <= p).sum()) + 1)
            ),
            "Where the sum is exactly p one token too many is kept: `<`, not `<=`, before adding "
            "the last one.",
        ),
        KnownWrong(
            lambda probs, p: _keep(probs, _size(probs, p)),
            "What is kept does not sum to one. Divide by its sum.",
        ),
        KnownWrong(
            lambda probs, p: -np.sort(-_nucleus(probs, p)),
            "The probabilities come back sorted, so they belong to other tokens now. Put each "
            "where it was.",
        ),
        KnownWrong(
            lambda probs, p: _normal(np.where(np.asarray(probs) >= 1 - p, probs, 0)),
            "A token is kept or not by its own probability. The nucleus goes by the sum of the "
            "likeliest.",
        ),
        KnownWrong(
            lambda probs, p: _normal(_keep(probs, math.ceil(p * len(probs)))),
            "A share p of the *tokens* is kept, that is top-k with k = p times the vocabulary. A "
            "share p of the *probability* is wanted.",
        ),
        KnownWrong(
            lambda probs, p: _normal(
                np.where(np.cumsum(probs) - np.asarray(probs) < p, np.asarray(probs), 0)
            ),
            "The sum runs in the order of the vocabulary. Sort by probability first, likeliest in "
            "front.",
        ),
        KnownWrong(
            _at_most,
            "A token is kept only if the sum *with* it is at most p. The one that crosses p is "
            "part of the nucleus; where the first alone exceeds p, nothing is left.",
        ),
        KnownWrong(
            _with_all_ties,
            "Every token that is as probable as the last one is kept, too. The smallest set is "
            "wanted: of equal ones the earlier are enough.",
        ),
    ),
    hints=(
        "Sort, likeliest first, and add up: where does the sum reach p?",
        "order = np.argsort(-probs, kind='stable'); before = np.cumsum(probs[order]) - "
        "probs[order] is what stood before each.",
        "Keep those with before < p; write them back to their positions; divide by their sum.",
    ),
    notice="The nucleus breathes: one token where the model is sure, dozens where it is not. "
    "Top-k keeps k in both cases, too many and too few.",
)
