"""Open exercise ``share_like_test``: training questions of BERT4Rec that look like the test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

#: Probability of a mask, as in the lesson, and the share of rows that hide the last item alone.
MASK_SHARE, LAST_SHARE = 0.4, 0.2

Share = Callable[[np.ndarray, np.ndarray], float]


def rows(last_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which items are hidden, ``(2000, 20)`` bool, and the lengths ``(2000,)`` of the rows.

    Args:
        last_share: share of the rows in which the last item alone is hidden.
    """
    draw = np.random.default_rng(0)
    lengths = draw.integers(5, 21, 2000)
    positions = np.arange(20)
    hidden = (draw.random((2000, 20)) < MASK_SHARE) & (positions < lengths[:, None])
    last_alone = draw.random(2000) < last_share
    hidden[last_alone] = (positions == lengths[:, None] - 1)[last_alone]
    return hidden, lengths


def _alike(hidden: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return hidden items without a visible one to their right, and all hidden ones."""
    real = np.arange(hidden.shape[1]) < np.asarray(lengths)[:, None]
    visible = (~hidden & real)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return hidden & real & (visible == 0), hidden & real


def _share(hidden: np.ndarray, lengths: np.ndarray) -> float:
    alike, asked = _alike(hidden, lengths)
    return float(alike.sum() / asked.sum())


def _last_only(hidden: np.ndarray, lengths: np.ndarray) -> float:
    _, asked = _alike(hidden, lengths)
    return float(asked[np.arange(len(lengths)), lengths - 1].sum() / asked.sum())


def _of_rows(hidden: np.ndarray, lengths: np.ndarray) -> float:
    return float(_alike(hidden, lengths)[0].any(axis=1).mean())


def _of_items(hidden: np.ndarray, lengths: np.ndarray) -> float:
    return float(_alike(hidden, lengths)[0].sum() / np.sum(lengths))


def _padding_visible(hidden: np.ndarray, lengths: np.ndarray) -> float:
    _, asked = _alike(hidden, lengths)
    visible = (~asked)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return float((asked & (visible == 0)).sum() / asked.sum())


def _padding_asked(hidden: np.ndarray, lengths: np.ndarray) -> float:
    return _share(hidden, np.full(len(lengths), hidden.shape[1]))


def _left(hidden: np.ndarray, lengths: np.ndarray) -> float:
    _, asked = _alike(hidden, lengths)
    return float((asked & ((~hidden).cumsum(axis=1) == 0)).sum() / asked.sum())


def _neighbour(hidden: np.ndarray, lengths: np.ndarray) -> float:
    _, asked = _alike(hidden, lengths)
    is_last = np.arange(hidden.shape[1]) == np.asarray(lengths)[:, None] - 1
    following = np.pad(asked[:, 1:], ((0, 0), (0, 1)))
    return float((asked & (is_last | following)).sum() / asked.sum())


def _mean_of_rows(hidden: np.ndarray, lengths: np.ndarray) -> float:
    alike, asked = _alike(hidden, lengths)
    some = asked.any(axis=1)
    return float((alike[some].sum(axis=1) / asked[some].sum(axis=1)).mean())


def _cases() -> tuple[Case, ...]:
    two = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0]], dtype=bool)
    full = np.array([[1, 0, 0, 1, 1]], dtype=bool)
    padded = np.array([[0, 1, 1, 1, 1], [1, 0, 1, 0, 1]], dtype=bool)
    every = np.array([[1, 1, 1], [0, 1, 0]], dtype=bool)
    return (
        Case((every, np.array([3, 3])), 3 / 4, note="all items of the first row are hidden"),
        Case((two, np.array([4, 2])), 3 / 4, note="lengths 4 and 2"),
        Case((full, np.array([5])), 2 / 3, note="hidden, visible, visible, hidden, hidden"),
        Case((padded, np.array([3, 4])), 2 / 4, note="padding may hold anything"),
        Case(rows(0.0), _share(*rows(0.0)), note="random masks alone"),
        Case(rows(LAST_SHARE), _share(*rows(LAST_SHARE)), note=f"last_share {LAST_SHARE}"),
        Case(rows(1.0), 1.0, note="the last item alone in every row"),
    )


EXERCISE = OpenExercise(
    id="share_like_test",
    title="Predict and measure: questions that look like the test",
    data={"rows": rows},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _last_only,
            "Only the last position is counted. An item before it has nothing visible to its right "
            "either, if all that follow are hidden.",
        ),
        KnownWrong(_of_rows, "That is a share of the rows. Divide by the number of hidden items."),
        KnownWrong(
            _of_items,
            "That is a share of all items. Only hidden items are questions: divide by those.",
        ),
        KnownWrong(
            _padding_visible,
            "Padding is taken for visible items, so only rows without padding count. A row ends "
            "at its length.",
        ),
        KnownWrong(
            _padding_asked,
            "What stands in the padding is counted. Cut each row at its length.",
        ),
        KnownWrong(
            _left,
            "That is the left side. At test the history is left of the mask.",
        ),
        KnownWrong(
            _neighbour,
            "Only the next item is looked at. A visible item further to the right is a clue, too.",
        ),
        KnownWrong(
            _mean_of_rows,
            "That is the mean of the rows' shares. Every question counts once in the loss: divide "
            "sums.",
        ),
    ),
    hints=(
        "Find the last visible item of a row; which hidden items stand behind it?",
        "visible = np.flatnonzero(~row[:length]); if there is none, all hidden items count.",
        "Add up both counts over the rows, then divide once.",
    ),
    notice="Longer rows have more masks in the middle and one end each, so the share falls with "
    "the length. last_share raises it, and takes questions away: those rows have one each.",
    measured=lambda answer: float(answer(*rows(LAST_SHARE))),
    example=0.2,
)
