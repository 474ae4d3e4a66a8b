"""An exercise of chapter 09: in-batch softmax, whose rivals come as often as they are popular."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 09.3 Error hunt: a correction with the wrong sign


def _softmax_loss(scores: np.ndarray, rivals: np.ndarray) -> float:
    """Mean cross-entropy of the diagonal among the rivals, (n, n) bool with itself."""
    masked = np.where(rivals, scores, -np.inf)
    peak = masked.max(axis=1, keepdims=True)
    total = peak[:, 0] + np.log(np.exp(masked - peak).sum(axis=1))
    return float((total - np.diag(scores)).mean())


def _rivals(item: np.ndarray) -> np.ndarray:
    """Each person's own column, and those of other items."""
    return (item[:, None] != item[None, :]) | np.eye(len(item), dtype=bool)


def _loss(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    """The right answer."""
    return _softmax_loss(scores - np.log(q[item]), _rivals(item))


def _loss_by_loops(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    total = 0.0
    for i in range(len(item)):
        mine = np.exp(scores[i, i]) / q[item[i]]
        others = sum(
            np.exp(scores[i, j]) / q[item[j]] for j in range(len(item)) if item[j] != item[i]
        )
        total -= np.log(mine / (mine + others))
    return total / len(item)


def _in_columns(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    return _softmax_loss((scores - np.log(q[item])).T, _rivals(item))


def _log_q_cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(0)
    some = draw.normal(size=(4, 4)).round(1)
    rows = (
        (np.zeros((2, 2)), np.array([0, 1]), np.array([0.75, 0.25]), "all cosines are 0"),
        (some, np.array([0, 2, 1, 3]), np.array([0.5, 0.2, 0.2, 0.1]), "four items"),
        (some, np.array([0, 0, 1, 0]), np.array([0.8, 0.2]), "three people have one item"),
    )
    return tuple(Case((a, b, c), _loss_by_loops(a, b, c), note=note) for a, b, c, note in rows)


LOG_Q = Exercise(
    id="09.3",
    title="A correction with the wrong sign",
    answer="in_batch_loss",
    cases=_log_q_cases,
    known_wrong=(
        KnownWrong(
            lambda scores, item, q: _softmax_loss(scores + np.log(q[item]), _rivals(item)),
            "ln q is added: popular items then weigh twice too much, once by coming often and once "
            "by the correction. Take it *off*.",
        ),
        KnownWrong(
            lambda scores, item, q: _softmax_loss(scores, _rivals(item)),
            "Nothing is corrected: whoever is popular is a wrong answer more often. (A correction "
            "along rows moves a whole row alike and changes nothing: it belongs to the column.)",
        ),
        KnownWrong(
            lambda scores, item, q: _softmax_loss(
                scores - np.log(q[item]), np.ones_like(scores, dtype=bool)
            ),
            "Somebody else's copy of the right item is counted as a wrong answer.",
        ),
        KnownWrong(
            lambda scores, item, q: _softmax_loss(scores - q[item], _rivals(item)),
            "q itself is taken off. The scores are logarithms of odds: take off ln q.",
        ),
        KnownWrong(
            _in_columns,
            "The softmax runs over people. Each person (row) chooses among items (columns).",
        ),
        KnownWrong(
            lambda scores, item, q: _loss(scores, item, q) * len(item),
            "Summed over the people, not averaged: it grows with the batch.",
        ),
    ),
    correct_alternatives=(_loss, _loss_by_loops),
    hints=(
        "Take two items, all scores 0, q = ¾ and ¼. What should the model say before it knows "
        "anything, if ¾ of the wrong answers it meets are the first?",
        "logits = scores - np.log(q[item]): one number a column.",
        "A column j with item[j] == item[i] and j != i takes no part in row i: -inf.",
    ),
    notice="The package makes one column of an item that comes several times and gives it its "
    "count, which has the same mean and wastes no column.",
)
