"""Exercise ``in_batch_loss``: a correction with the wrong sign."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _copies(item: np.ndarray) -> np.ndarray:
    """The columns that hold each person's own item, (n, n) bool."""
    return item[:, None] == item[None, :]


def _share_of_right(weights: np.ndarray, right: np.ndarray) -> float:
    """Mean of -ln of the right columns' share of each row's weights."""
    return float(-np.log((weights * right).sum(axis=1) / weights.sum(axis=1)).mean())


def _loss(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    """The right answer."""
    return _share_of_right(np.exp(scores) / q[item], _copies(item))


def _copies_dropped(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    weights = np.exp(scores) / q[item]
    weights = np.where(_copies(item) & ~np.eye(len(item), dtype=bool), 0.0, weights)
    return _share_of_right(weights, np.eye(len(item)))


def _copies_of_logit_0(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    weights = np.exp(scores) / q[item]
    weights = np.where(_copies(item) & ~np.eye(len(item), dtype=bool), 1.0, weights)
    return _share_of_right(weights, np.eye(len(item)))


def _each_item_once(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    used, first = np.unique(item, return_index=True)
    weights = np.exp(scores[:, first]) / q[used]
    return _share_of_right(weights, used[None, :] == item[:, None])


def _only_the_wrong(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    right = _copies(item)
    weights = np.exp(scores) / np.where(right, 1.0, q[item])
    return _share_of_right(weights, right)


def _as_it_was_found(scores: np.ndarray, item: np.ndarray, q: np.ndarray) -> float:
    return _share_of_right(np.exp(scores) * q[item], np.eye(len(item)))


def _log_q_cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(0)
    table = draw.normal(size=(4, 4)).round(1)  # people and items: copies have equal columns
    rows = (
        (np.zeros((2, 4)), [0, 1], [0.75, 0.25], "all cosines are 0"),
        (np.zeros((4, 4)), [0, 0, 0, 1], [0.75, 0.25], "the chapter's a, a, a, b: ln 2"),
        (table, [0, 2, 1, 3], [0.5, 0.2, 0.2, 0.1], "four items"),
        (table, [0, 0, 1, 0], [0.8, 0.2], "three people have one item"),
        (table, [1, 2, 1, 0], [0.7, 0.2, 0.1], "a rare item comes twice"),
    )
    cases = []
    for cosines, who, shares, note in rows:
        item = np.array(who)
        given = (cosines[:, item], item, np.array(shares))
        cases.append(Case(given, _loss(*given), note=note))
    return tuple(cases)


EXERCISE = Exercise(
    id="in_batch_loss",
    title="A correction with the wrong sign",
    cases=_log_q_cases,
    known_wrong=(
        KnownWrong(
            _as_it_was_found,
            "That is the loss as it was found: ln q is added, and a second copy of the right item "
            "is a wrong answer.",
        ),
        KnownWrong(
            lambda scores, item, q: _share_of_right(np.exp(scores) * q[item], _copies(item)),
            "ln q is added: the loss is then lowest where scores are ln p - 2 ln q, so that rare "
            "items come first. Take it *off*.",
        ),
        KnownWrong(
            lambda scores, item, q: _share_of_right(np.exp(scores), _copies(item)),
            "Nothing is corrected: scores come to be ln p - ln q, and popular items lose what "
            "their popularity earns. (A correction along rows moves a whole row alike and changes "
            "nothing: it belongs to the column.)",
        ),
        KnownWrong(
            lambda scores, item, q: _share_of_right(
                np.exp(scores) / q[item], np.eye(len(item), dtype=bool)
            ),
            "Another person's copy of the right item is counted as a wrong answer.",
        ),
        KnownWrong(
            _copies_dropped,
            "Copies of the right item are left out. It came c times where n q were expected, and "
            "must keep the weight c / (n q): a, a, a, b gives 1.213 so, and should give ln 2.",
        ),
        KnownWrong(
            _copies_of_logit_0,
            "Copies get the logit 0, which is a weight of 1, neither none nor the right one.",
        ),
        KnownWrong(
            _each_item_once,
            "Each item counts once, however often it came. Popular items come more often, and "
            "1 / q takes that out only where their copies are counted.",
        ),
        KnownWrong(
            _only_the_wrong,
            "Only the wrong answers are corrected. The right item came as often as its popularity "
            "says, too: its column is divided by q like the others.",
        ),
        KnownWrong(
            lambda scores, item, q: _share_of_right(np.exp(scores - q[item]), _copies(item)),
            "q itself is taken off. The scores are logarithms of odds: take off ln q.",
        ),
        KnownWrong(
            lambda scores, item, q: _share_of_right((np.exp(scores) / q[item]).T, _copies(item)),
            "The softmax runs over people. Each person (row) chooses among items (columns).",
        ),
        KnownWrong(
            lambda scores, item, q: _loss(scores, item, q) * len(item),
            "Summed over the people, not averaged: it grows with the batch.",
        ),
    ),
    hints=(
        "Take two items, all scores 0, q = ¾ and ¼. What should the model say before it knows "
        "anything, if ¾ of the wrong answers it meets are the first?",
        "weights = np.exp(scores) / q[item]: one column for each person's item.",
        "Row i's right answer is every column j with item[j] == item[i]: add their weights, and "
        "divide by the weights of the whole row.",
    ),
    notice="The package computes the same from one column for each different item, whose weight is "
    "its count divided by the count to be expected, c / (n q): the chapter's formula.",
)
