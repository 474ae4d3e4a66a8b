"""Exercise ``exit_loss``: the weighted loss of several exits."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _loss(losses: list[float]) -> float:
    """The right answer: weights 2k / (L (L + 1))."""
    n = len(losses)
    return sum(2 * k / (n * (n + 1)) * loss for k, loss in enumerate(losses, 1))


def _weighted(losses: list[float], weight) -> float:
    return float(sum(weight(k) * loss for k, loss in enumerate(losses, 1)))


EXERCISE = Exercise(
    id="exit_loss",
    title="Weights that grow with depth",
    cases=(
        Case(([1.0],), 1.0, note="a single layer has the weight 1"),
        Case(([1.0, 1.0, 1.0],), 1.0, note="the weights sum to 1"),
        Case(([0.0, 0.0, 0.0, 5.0],), 2.0, note="the last of four has the weight .4"),
        Case(([4.0, 0.0, 2.0],), 4.0 / 6 + 2.0 * 3 / 6),
    ),
    known_wrong=(
        KnownWrong(
            lambda losses: _weighted(losses, lambda k: 2 * k / (k * (k + 1))),
            "That is the printed form: k cancels, 2 / (k + 1) is left, and it falls with depth. "
            "The denominator needs the number of layers L, not k.",
        ),
        KnownWrong(
            lambda losses: (
                _weighted(losses, lambda k: 2 * (k - 1)) / len(losses) / (len(losses) + 1)
            ),
            "Layers count from 1: with k from 0 the first exit has the weight 0.",
        ),
        KnownWrong(
            lambda losses: float(np.mean(losses)),
            "All exits have the same weight: a deeper one must count more.",
        ),
        KnownWrong(
            lambda losses: _weighted(losses, lambda k: 2 * k),
            "The weights do not sum to 1: divide by L (L + 1).",
        ),
        KnownWrong(
            lambda losses: _loss(losses[::-1]),
            "The order is reversed: losses[0] is the loss of the first layer.",
        ),
        KnownWrong(
            lambda losses: _loss(losses) / len(losses),
            "The weighted losses are summed, not averaged: the weights sum to 1 already.",
        ),
        KnownWrong(
            lambda losses: _loss(losses) / 2,
            "A factor of 2 is missing: 1 + 2 + … + L is L (L + 1) / 2.",
        ),
        KnownWrong(lambda losses: -_loss(losses), "The loss is negated: it would be maximized."),
    ),
    hints=(
        "Print the weights 2k / (k (k + 1)) for k = 1 to 4. Which exit counts most?",
        "Which number in the denominator must be the same for all exits, so that k remains?",
        "enumerate(losses, 1) counts from 1; L is len(losses).",
    ),
    notice="With the printed weights, the first of four exits counts two and a half times as much "
    "as the last. Whether that harms the last exit is measured in the lesson, not decided here.",
)
