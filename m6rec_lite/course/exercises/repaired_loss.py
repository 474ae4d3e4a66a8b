"""Exercise ``repaired_loss``: a loss with three faults that articles repeat."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Loss = Callable[[np.ndarray, np.ndarray, float, float], float]


def _terms(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``y ln p + (1 - y) ln(1 - p)``."""
    return y * np.log(p) + (1 - y) * np.log(1 - p)


def _as_found(p: np.ndarray, actions: np.ndarray, finetune: float, alpha: float) -> float:
    """The code of the lesson: negated again, a sum, and a label of 2."""
    log_loss = -_terms(p[:, 0], actions).sum()
    return -alpha * log_loss + finetune


def _loss(*, sign: float = 1.0, per_row: bool = True, bought: str = "of clicked") -> Loss:
    """Return the loss with some of the faults left in."""

    def loss(p: np.ndarray, actions: np.ndarray, finetune: float, alpha: float) -> float:
        clicked = _terms(p[:, 0], (actions >= 1).astype(float))
        if bought == "label 2":
            clicked = _terms(p[:, 0], actions)
        total = clicked.sum()
        if bought in ("of clicked", "of all"):
            second = _terms(p[:, 1], (actions == 2).astype(float))
            total += (second if bought == "of all" else second[actions >= 1]).sum()
        return sign * -alpha * total / (len(p) if per_row else 1) + finetune

    return loss


def _mean_of_labels(p: np.ndarray, actions: np.ndarray, finetune: float, alpha: float) -> float:
    clicked = actions >= 1
    purchase = _terms(p[clicked, 1], (actions[clicked] == 2).astype(float))
    each = np.concatenate([_terms(p[:, 0], clicked.astype(float)), purchase])
    return -alpha * each.mean() + finetune


def _alpha_on_all(p: np.ndarray, actions: np.ndarray, finetune: float, alpha: float) -> float:
    return alpha * (_loss()(p, actions, 0.0, 1.0) + finetune)


_P = np.array([[0.5, 0.25], [0.8, 0.1], [0.5, 0.75]])
#: The logarithms of what was right: no click; a click and a purchase; a click and no purchase.
_SUM = math.log(0.5) + math.log(0.8) + math.log(0.1) + math.log(0.5) + math.log(0.25)

EXERCISE = Exercise(
    id="repaired_loss",
    title="Error hunt: three faults in one loss",
    cases=(
        Case(
            (np.full((1, 2), 0.5), np.array([2]), 0.0, 1.0),
            2 * math.log(2),
            note="one row, bought, all probabilities one half",
        ),
        Case((_P, np.array([0, 2, 1]), 0.3, 0.5), 0.3 - 0.5 * _SUM / 3, note="one row of each"),
        Case(
            (_P[:2], np.array([0, 0]), 0.1, 2.0),
            0.1 - (math.log(0.5) + math.log(0.2)),
            note="nobody clicked: there is no answer to whether it was bought",
        ),
        Case((_P, np.array([1, 1, 2]), 1.5, 0.0), 1.5, note="alpha = 0"),
    ),
    known_wrong=(
        KnownWrong(
            _as_found,
            "That is the code as it was. Its value can fall below 0, and a cross-entropy cannot.",
        ),
        KnownWrong(
            _loss(sign=-1.0),
            "The multi-task part is negated once more: logarithms of probabilities are negative, "
            "so one minus makes a loss, and a second one maximises it.",
        ),
        KnownWrong(
            _loss(per_row=False),
            "The multi-task part is a sum over the rows, and the other part a mean: with twice as "
            "many rows in a batch, alpha counts double.",
        ),
        KnownWrong(
            _loss(bought="label 2"),
            "A label of 2 in y ln p + (1 - y) ln(1 - p) gives 2 ln p - ln(1 - p): the loss falls "
            "without bound as p goes to 1. Clicked and bought are two labels of the row.",
        ),
        KnownWrong(
            _loss(bought="no"),
            "Every action counts as a click, so the label 2 is harmless; but what it says, that "
            "the item was bought, is lost. p[:, 1] answers that.",
        ),
        KnownWrong(
            _loss(bought="of all"),
            "The purchase is asked of rows without a click, too. p[:, 1] is the probability *once "
            "clicked*: leave these rows out of its sum.",
        ),
        KnownWrong(
            _mean_of_labels,
            "That is a mean over all labels. The formula sums over the labels of a row and "
            "divides by the number of *rows*.",
        ),
        KnownWrong(
            _alpha_on_all,
            "alpha multiplies the fine-tuning part as well; that part has the weight 1.",
        ),
    ),
    hints=(
        "Count the minus signs between a logarithm and the result.",
        "Which of the two parts changes if every row of the batch is repeated?",
        "Two labels: clicked = actions >= 1 for all rows, actions == 2 for the clicked ones.",
    ),
    notice="Each fault runs without an error message, and the first two give curves that fall. "
    "The package's `multi_task_loss` refuses a label of 2, and `adaptation_loss` a part below 0.",
)
