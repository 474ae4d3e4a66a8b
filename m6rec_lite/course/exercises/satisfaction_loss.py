"""Exercise ``satisfaction_loss``: the loss behind f(y, z), and its usual wrong forms."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _satisfaction(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return y * np.log(z) + (1 - y) * np.log(1 - z)


def _loss(y: np.ndarray, z: np.ndarray) -> float:
    """The right answer: minus the mean of f."""
    return float(-_satisfaction(y, z).mean())


def _cases() -> tuple[Case, ...]:
    rows = (
        ([1, 0], [0.5, 0.5], "a coin for each item: ln 2"),
        ([1, 0, 0, 0], [0.8, 0.1, 0.3, 0.2], "one of four accepted"),
        ([0, 0, 0], [0.04, 0.04, 0.5], "nothing accepted"),
        ([1, 1], [0.9, 0.2], "everything accepted"),
        ([1], [0.25], "one item"),
    )
    arrays = [(np.array(y, float), np.array(z), note) for y, z, note in rows]
    return tuple(Case((y, z), _loss(y, z), note=note) for y, z, note in arrays)


EXERCISE = Exercise(
    id="satisfaction_loss",
    title="The loss behind satisfaction",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda y, z: float((-y * np.log(z) + (1 - y) * np.log(1 - z)).mean()),
            "That is the formula to hunt: one sign is turned and the other is not. Minimised, it "
            "sends every z to 1, since (1 - y) ln(1 - z) then falls without end.",
        ),
        KnownWrong(
            lambda y, z: float(_satisfaction(y, z).mean()),
            "That is the satisfaction, which is maximised. A loss is minimised: it needs the minus "
            "in front of both terms.",
        ),
        KnownWrong(
            lambda y, z: float(-(z * np.log(z) + (1 - z) * np.log(1 - z)).mean()),
            "The model's own z stands where the data y belong. That is the entropy of the model: "
            "no answer of a shopper enters it.",
        ),
        KnownWrong(
            lambda y, z: float(-(y * np.log(z)).mean()),
            "Only accepted items count there, so z = 1 for everything is perfect. Refused items "
            "need (1 - y) ln(1 - z).",
        ),
        KnownWrong(
            lambda y, z: float(-_satisfaction(y, z).sum()),
            "That is the sum. The mean does not grow with the number of items, so that one "
            "learning rate fits any batch.",
        ),
        KnownWrong(
            lambda y, z: float(-(z * np.log(np.clip(y, 1e-9, 1))).mean()),
            "y and z are exchanged: the logarithm is of the predicted z, the weight is the answer "
            "y.",
        ),
        KnownWrong(
            lambda y, z: float(-_satisfaction(y, z).mean() / np.log(2)),
            "The logarithm is to base 2. f is written with the natural logarithm, np.log.",
        ),
        KnownWrong(
            lambda y, z: float(((y - z) ** 2).mean()),
            "That is the squared error (the Brier score). It is a proper score too, but not f.",
        ),
    ),
    hints=(
        "Which of the two, f or the loss, should be high for a good model?",
        "Write f for each item first, then one minus in front of the mean.",
        "-(y * np.log(z) + (1 - y) * np.log(1 - z)).mean()",
    ),
    notice="At the true rate the loss is lowest and not zero: what is left is the chance in the "
    "answers, which no model can predict.",
)
