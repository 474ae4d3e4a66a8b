"""Exercise ``ucb_index``: the upper confidence bound of each item."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _index(accepted: np.ndarray, trials: np.ndarray, c: float, width: np.ndarray) -> np.ndarray:
    """Rate + c * width, and infinity without trials."""
    seen = trials > 0
    rates = accepted / np.where(seen, trials, 1)
    return np.where(seen, rates + c * width, np.inf)


def _ucb(accepted: np.ndarray, trials: np.ndarray, c: float) -> np.ndarray:
    """The right answer."""
    width = np.sqrt(2 * np.log(trials.sum()) / np.where(trials > 0, trials, 1))
    return _index(accepted, trials, c, width)


def _own_logarithm(accepted: np.ndarray, trials: np.ndarray, c: float) -> np.ndarray:
    safe = np.where(trials > 0, trials, 1)
    return _index(accepted, trials, c, np.sqrt(2 * np.log(safe) / safe))


def _squared(accepted: np.ndarray, trials: np.ndarray, c: float) -> np.ndarray:
    width = 2 * np.log(trials.sum()) / np.where(trials > 0, trials, 1)
    return _index(accepted, trials, c, width)


def _without_two(accepted: np.ndarray, trials: np.ndarray, c: float) -> np.ndarray:
    width = np.sqrt(np.log(trials.sum()) / np.where(trials > 0, trials, 1))
    return _index(accepted, trials, c, width)


def _inside(accepted: np.ndarray, trials: np.ndarray, c: float) -> np.ndarray:
    width = np.sqrt(2 * c * np.log(trials.sum()) / np.where(trials > 0, trials, 1))
    return _index(accepted, trials, 1.0, width)


def _lower(accepted: np.ndarray, trials: np.ndarray, c: float) -> np.ndarray:
    return np.where(trials > 0, _ucb(accepted, trials, -c), np.inf)


def _cases() -> tuple[Case, ...]:
    rows = (
        ([1, 0, 3], [2, 1, 3], 1.0, "three items, six trials"),
        ([1, 0, 3], [2, 1, 3], 0.5, "half the width"),
        ([2, 0, 1], [4, 0, 2], 1.0, "the second item was never examined"),
        ([5, 1], [100, 1], 0.2, "few trials, a wide bound"),
        ([0.0, 2.0], [1.5, 4.25], 1.0, "trials are sums of probabilities"),
        ([1, 2], [4, 4], 0.0, "c = 0 never explores"),
    )
    made = [(np.array(a, float), np.array(t, float), c, note) for a, t, c, note in rows]
    return tuple(Case((a, t, c), _ucb(a, t, c), note=note) for a, t, c, note in made)


EXERCISE = Exercise(
    id="ucb_index",
    title="The upper confidence bound of each item",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _own_logarithm,
            "The logarithm is of the item's own trials, so an item that rests is never looked at "
            "again. T counts the trials of all items.",
        ),
        KnownWrong(_squared, "The square root is missing: the bound would be too wide early on."),
        KnownWrong(_without_two, "The factor 2 under the root is missing."),
        KnownWrong(_inside, "c stands under the root. It scales the whole width."),
        KnownWrong(
            lambda accepted, trials, c: np.nan_to_num(_ucb(accepted, trials, c), posinf=0.0),
            "An item without trials gets 0, the lowest index, and is never tried. It must come "
            "first: infinity.",
        ),
        KnownWrong(
            lambda accepted, trials, c: _index(accepted, trials, 0.0, np.zeros(len(trials))),
            "The width is not added: that is the greedy choice.",
        ),
        KnownWrong(_lower, "That is the lower bound: it avoids what is little known."),
        KnownWrong(
            lambda accepted, trials, c: _ucb(accepted * np.where(trials > 0, trials, 1), trials, c),
            "The acceptances are not divided by the trials: a rate is accepted / trials.",
        ),
    ),
    hints=(
        "Two parts: the rate, and a width that shrinks as the item's own trials grow.",
        "width = np.sqrt(2 * np.log(trials.sum()) / trials)",
        "np.where(trials > 0, …, np.inf); divide by np.where(trials > 0, trials, 1).",
    ),
    notice="With click rates near .05 a width for rewards between 0 and 1 (c = 1) is far too wide: "
    "the bound hardly ranks for thousands of trials.",
)
