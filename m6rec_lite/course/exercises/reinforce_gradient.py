"""Exercise ``reinforce_gradient``: one step of REINFORCE with a baseline, on logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def _one_hot(logits: np.ndarray, action: int) -> np.ndarray:
    return (np.arange(len(logits)) == action).astype(float)


def _gradient(logits: np.ndarray, action: int, reward: float, baseline: float) -> np.ndarray:
    """The right answer: the direction in which the logits go up."""
    return (reward - baseline) * (_one_hot(logits, action) - _softmax(logits))


def _cases() -> tuple[Case, ...]:
    rows: tuple[tuple[Any, ...], ...] = (
        ([0.0, 0.0], 0, 1.0, 0.0, "two equal items, the first accepted"),
        ([0.0, 0.0], 0, 0.0, 0.25, "refused: below the baseline"),
        ([2.0, 1.0, 0.0], 2, 1.0, 0.4, "an unlikely item accepted"),
        ([2.0, 1.0, 0.0], 0, 0.3, 0.3, "as good as the baseline: no step"),
        ([1.0, -1.0, 0.5, 0.0], 1, 3.0, 1.0, "three acceptances"),
        ([800.0, 0.0], 1, 1.0, 0.5, "a large logit"),
    )
    made = [(np.array(logits), *rest) for logits, *rest in rows]
    return tuple(Case((*args,), _gradient(*args), note=note) for *args, note in made)


EXERCISE = Exercise(
    id="reinforce_gradient",
    title="One step of REINFORCE",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda logits, action, reward, baseline: (
                reward * (_one_hot(logits, action) - _softmax(logits))
            ),
            "The baseline is not subtracted. The mean of the estimate stays right, but it varies "
            "more.",
        ),
        KnownWrong(
            lambda logits, action, reward, baseline: -_gradient(logits, action, reward, baseline),
            "The sign is turned: that is the gradient of a loss. Wanted is the direction in which "
            "the reward rises.",
        ),
        KnownWrong(
            lambda logits, action, reward, baseline: (
                (reward - baseline)
                * _softmax(logits)[action]
                * (_one_hot(logits, action) - _softmax(logits))
            ),
            "That is the gradient of the probability. The action was drawn with that probability "
            "already, so it counts twice: take the gradient of the logarithm.",
        ),
        KnownWrong(
            lambda logits, action, reward, baseline: (reward - baseline) * _one_hot(logits, action),
            "Only the logit of the shown item moves. The logarithm of a softmax also falls with "
            "every other logit: one-hot minus the probabilities.",
        ),
        KnownWrong(
            lambda logits, action, reward, baseline: (
                reward * (_one_hot(logits, action) - _softmax(logits)) - baseline
            ),
            "The baseline is subtracted from the gradient. It belongs to the reward: (reward - "
            "baseline) times the gradient.",
        ),
        KnownWrong(
            lambda logits, action, reward, baseline: (
                (reward - baseline) * (_one_hot(logits, action) - 1 / len(logits))
            ),
            "The probabilities are taken as equal. They are the softmax of the logits.",
        ),
        KnownWrong(
            lambda logits, action, reward, baseline: (
                (reward - baseline)
                * (_one_hot(logits, action) - np.exp(logits) / np.exp(logits).sum())
            ),
            "exp of a large logit overflows. Subtract the largest logit first: the softmax stays "
            "the same.",
        ),
    ),
    hints=(
        "What is the gradient of ln softmax(logits)[action] with respect to the logits?",
        "It is one_hot(action) - softmax(logits).",
        "Multiply it by reward - baseline; subtract logits.max() before exp.",
    ),
    notice="The entries add up to 0: a softmax does not change if all logits rise together.",
)
