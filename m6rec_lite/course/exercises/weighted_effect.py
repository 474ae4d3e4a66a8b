"""Exercise ``weighted_effect``: the effect of showing, weighted by known probabilities."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _difference(outcome: np.ndarray, shown: np.ndarray, absent: np.ndarray) -> float:
    """Weighted mean of the outcome by the first weights, less that by the second."""
    return float(np.average(outcome, weights=shown) - np.average(outcome, weights=absent))


def _effect(outcome: np.ndarray, shown: np.ndarray, propensity: np.ndarray) -> float:
    """The right answer."""
    return _difference(outcome, shown / propensity, (1 - shown) / (1 - propensity))


def _not_normalised(outcome: np.ndarray, shown: np.ndarray, propensity: np.ndarray) -> float:
    weights = shown / propensity - (1 - shown) / (1 - propensity)
    return float((weights * outcome).mean())


def _cases() -> tuple[Case, ...]:
    lesson = (
        np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]),
        np.array([1, 1, 1, 1, 0, 1, 0, 0, 0, 0]),
        np.array([0.8] * 5 + [0.2] * 5),
    )
    rows = (
        (*lesson, "five fans and five others"),
        (np.array([2.0, 1, 0]), np.array([1, 0, 0]), np.array([0.5, 0.5, 0.25]), "three pages"),
        (np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0]), np.full(4, 0.3), "one propensity"),
    )
    return tuple(Case((*args,), _effect(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="weighted_effect",
    title="The effect of showing, from a page that is not fair",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda outcome, shown, p: _difference(outcome, shown, 1 - shown),
            "No propensity is used: that is the difference of the observed means, with everything "
            "in it that the page knows of its shoppers.",
        ),
        KnownWrong(
            lambda outcome, shown, p: _difference(outcome, shown / p, (1 - shown) / p),
            "What was not shown happened with probability 1 - propensity, and has the weight "
            "1 / (1 - propensity).",
        ),
        KnownWrong(
            lambda outcome, shown, p: _difference(outcome, shown * p, (1 - shown) * (1 - p)),
            "Multiplied instead of divided: what was likely anyway counts even more. Rare cases "
            "stand for those that did not happen.",
        ),
        KnownWrong(
            lambda outcome, shown, p: _difference(outcome, shown / p, 1 - shown),
            "Only the shown side is weighted. Who is *not* shown the item is chosen by the page "
            "as well.",
        ),
        KnownWrong(
            _not_normalised,
            "Divided by the number of pages. That is right on average over many logs; wanted are "
            "two weighted means, each divided by the sum of its own weights.",
        ),
        KnownWrong(
            lambda outcome, shown, p: -_effect(outcome, shown, p),
            "The sign is turned: shown less not shown.",
        ),
        KnownWrong(
            lambda outcome, shown, p: float(np.average(outcome, weights=shown / p)),
            "That is the mean outcome if all were shown. An effect subtracts the one if none were.",
        ),
    ),
    hints=(
        "A fan is shown the item with probability .8. One fan who is not stands for how many?",
        "shown / propensity for one side, (1 - shown) / (1 - propensity) for the other.",
        "(w * outcome).sum() / w.sum() for each side, first less second.",
    ),
    notice="In the first case showing does nothing: every fan takes the item, shown or not, and no "
    "other does. The observed means differ by .6 because fans are shown it more often.",
)
