"""Exercise ``oracle_share``: the oracle gap as a share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_MODEL = np.array([0.0, 0.5, 0.0, 0.1])
_ORACLE = np.array([1.0, 0.5, 0.4, 0.1])
_WITH_ZERO = np.array([0.63, 0.0, 0.0, 1.0])


def _quiet(function: Callable[..., float]) -> Callable[..., float]:
    """The function without numpy's warning on a division by zero."""

    def answer(model: np.ndarray, oracle: np.ndarray) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(function(np.asarray(model, float), np.asarray(oracle, float)))

    return answer


EXERCISE = Exercise(
    id="oracle_share",
    title="The oracle gap as a share",
    cases=(
        Case(args=(_MODEL, _ORACLE), expected=0.3),
        Case(args=(_ORACLE, _ORACLE), expected=1.0, note="the oracle itself"),
        Case(args=(np.zeros(4), _ORACLE), expected=0.0, note="a model that never hits"),
        Case(
            args=(np.array([0.0, 0.5, 0.0, 0.5]), _WITH_ZERO),
            expected=1.0 / 1.63,
            note="a shopper whom the oracle missed and the model did not",
        ),
        Case(
            args=(np.array([1.0, 1.0]), np.array([0.5, 1.0])),
            expected=4 / 3,
            note="luck: the model is above the oracle",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _quiet(lambda model, oracle: oracle.mean() - model.mean()),
            "That is the difference. 0.1 below an oracle of 0.9 and 0.1 below one of 0.2 are not "
            "the same achievement: divide.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: oracle.mean() / model.mean()),
            "The ratio is upside down: the oracle belongs below the line, so that reaching it "
            "gives 1.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: np.mean(model / oracle)),
            "That is the mean of each shopper's own ratio. It divides by zero where the oracle "
            "missed, and counts an easy shopper like a hard one. Take both means first, then "
            "divide once.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: 1 - model.mean() / oracle.mean()),
            "That is the share still missing. The question asks for the share reached.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: min(1.0, model.mean() / oracle.mean())),
            "The share is cut at 1. On a small group a model can be above the oracle by luck, and "
            "the figure should show it.",
        ),
        KnownWrong(
            _quiet(lambda model, oracle: 100 * model.mean() / oracle.mean()),
            "Right up to a factor of 100: return a share, 0.3, and leave the percent to the "
            "printing.",
        ),
    ),
    hints=(
        "A model's figure is the mean over shoppers, and so is the oracle's.",
        "Reached divided by reachable.",
    ),
    notice="The share can exceed 1 for a single shopper, and by luck for a small group: the "
    "oracle knows the probabilities, not the draws. Over all shoppers it stays an upper bound.",
)
