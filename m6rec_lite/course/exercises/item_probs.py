"""Exercise ``item_probs``: the probability of each item, by its codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Probs = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _answer(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The right answer."""
    exists = np.isin(np.arange(len(first)), codes[:, 0])
    p = _softmax(np.where(exists, first, -np.inf))
    probs = []
    for a, b in codes:
        options = codes[codes[:, 0] == a, 1]
        allowed = np.isin(np.arange(second.shape[1]), options)
        probs.append(p[a] * _softmax(np.where(allowed, second[a], -np.inf))[b])
    return np.array(probs)


def _unconstrained(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.array([_softmax(first)[a] * _softmax(second[a])[b] for a, b in codes])


def _renormalised(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    probs = _unconstrained(codes, first, second)
    return probs / probs.sum()


def _one_softmax(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return _softmax(np.array([first[a] + second[a, b] for a, b in codes]))


def _second_only(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    p = _softmax(first)
    inside = _answer(codes, np.zeros(len(first)), second) * len(np.unique(codes[:, 0]))
    return p[codes[:, 0]] * inside


def _first_only(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    exists = np.isin(np.arange(len(first)), codes[:, 0])
    p = _softmax(np.where(exists, first, -np.inf))
    return np.array([p[a] * _softmax(second[a])[b] for a, b in codes])


def _zeros_for_minus_infinity(
    codes: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    p = _softmax(np.where(np.isin(np.arange(len(first)), codes[:, 0]), first, 0))
    probs = []
    for a, b in codes:
        options = codes[codes[:, 0] == a, 1]
        allowed = np.isin(np.arange(second.shape[1]), options)
        probs.append(p[a] * _softmax(np.where(allowed, second[a], 0))[b])
    return np.array(probs)


def _transposed(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return _answer(codes, first, second.T)


def _cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(0)
    few = np.array([[0, 0], [0, 1], [2, 1]])
    many = np.array([[3, 2], [1, 0], [1, 3], [0, 0], [3, 1], [3, 0]])
    rows = (
        (few, np.zeros(3), np.zeros((3, 3)), "all logits 0: three items, two first codes"),
        (few, draw.normal(size=3), draw.normal(size=(3, 3)), "three items"),
        (many, 2 * draw.normal(size=4), 2 * draw.normal(size=(4, 4)), "six items of 16 pairs"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="item_probs",
    title="The probability of an item, code by code",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _unconstrained,
            "Codes that lead to no item keep probability, so the items sum to less than 1. Leave "
            "them out of each softmax.",
        ),
        KnownWrong(
            _renormalised,
            "Dividing at the end gives a sum of 1, but not the model's probabilities: a first code "
            "with many missing followers loses. Leave codes out inside each softmax.",
        ),
        KnownWrong(
            _one_softmax,
            "One softmax over the sums of logits: a first code with many items then gains. The "
            "first code has a softmax of its own.",
        ),
        KnownWrong(
            _second_only,
            "The first softmax still contains codes that no item begins with.",
        ),
        KnownWrong(
            _first_only,
            "The second softmax still contains codes that follow this first code in no item.",
        ),
        KnownWrong(
            _zeros_for_minus_infinity,
            "A logit of 0 is no exclusion: exp(0) is 1. Set it to -inf, or leave the entry out.",
        ),
        KnownWrong(
            _transposed,
            "second[a] holds the logits after the first code a; yours takes second[:, a].",
        ),
        KnownWrong(
            lambda codes, first, second: np.log(_answer(codes, first, second)),
            "These are the logarithms. Wanted are probabilities.",
        ),
    ),
    hints=(
        "P(item) = P(first code) * P(second code | first code).",
        "The first softmax runs over np.unique(codes[:, 0]).",
        "For an item (a, b), the second runs over codes[codes[:, 0] == a, 1] of second[a].",
    ),
    notice="With all logits 0 an item that is alone behind its first code has 1/2, the two others "
    "1/4 each: before any training, the tree prefers items in small branches.",
)
