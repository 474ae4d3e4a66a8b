"""Exercise ``cross_attention``: attend to what is there."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _attend(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    present: np.ndarray,
    *,
    scale: float | None = None,
    axis: int = -1,
    masked: bool = True,
    zero_scores: bool = False,
    late: bool = False,
    empty: str = "zero",
) -> np.ndarray:
    """The right answer; what is behind the star makes the known mistakes."""
    scores = q @ k.transpose(0, 2, 1) / (np.sqrt(q.shape[-1]) if scale is None else scale)
    there = np.broadcast_to(present[:, None, :], scores.shape)
    if zero_scores:
        weights = np.exp(np.where(there, scores, 0.0))
        return weights / weights.sum(axis=axis, keepdims=True) @ v
    weights = np.exp(scores)
    if masked and not late:
        weights = weights * there
    total = weights.sum(axis=axis, keepdims=True)
    weights = weights / np.where(total > 0, total, 1.0)
    if late:
        weights = weights * there
    if empty == "mean":
        weights = np.where(there.any(axis=-1, keepdims=True), weights, 1 / k.shape[1])
    return weights @ v


def _swapped(q: np.ndarray, k: np.ndarray, v: np.ndarray, present: np.ndarray) -> np.ndarray:
    return _attend(q, v, k, present)


def _inverted(q: np.ndarray, k: np.ndarray, v: np.ndarray, present: np.ndarray) -> np.ndarray:
    return _attend(q, k, v, ~present)


def _cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return draw.normal(size=shape).round(1)

    one = np.array([[[2.0, 0.0]]])
    regions = np.array([[[1.0, 0.0], [0.0, 1.0], [9.0, 0.0]]])
    small = (one, regions, np.array([[[4.0], [8.0], [100.0]]]), np.array([[True, True, False]]))
    both = numbers(2, 3, 4), numbers(2, 5, 4), numbers(2, 5, 4), np.ones((2, 5), dtype=bool)
    both[3][0, :2] = False
    none = numbers(2, 1, 4), numbers(2, 2, 4), numbers(2, 2, 3), np.array([[True] * 2, [False] * 2])
    low = np.array([[[-4.0]]]), np.array([[[1.0], [2.0]]]), np.array([[[5.0], [7.0]]])
    rows = (
        (small, "one query, the third region is missing"),
        (both, "two rows, three queries each"),
        (none, "the second row has no picture at all"),
        ((*low, np.array([[True, True]])), "scores far below 0"),
    )
    return tuple(Case(args, _attend(*args), note=note) for args, note in rows)


EXERCISE = Exercise(
    id="cross_attention",
    title="Attend to what is there",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda *a: _attend(*a, scale=1.0),
            "The scores are not divided by the root of the vectors' length d.",
        ),
        KnownWrong(
            lambda *a: _attend(*a, scale=a[0].shape[-1]),
            "The scores are divided by d. The formula divides by its root.",
        ),
        KnownWrong(
            lambda *a: _attend(*a, axis=1),
            "The softmax runs over the queries. The weights of one query, over the keys, sum to 1.",
        ),
        KnownWrong(
            lambda *a: _attend(*a, masked=False),
            "Missing keys take part: their vectors are whatever stands there.",
        ),
        KnownWrong(
            lambda *a: _attend(*a, zero_scores=True),
            "A score of 0 is a score like any other, exp(0) = 1: the weight of a missing key is "
            "what has to be 0.",
        ),
        KnownWrong(
            lambda *a: _attend(*a, late=True),
            "The missing keys are removed after the softmax, so that the weights of the others sum "
            "to less than 1.",
        ),
        KnownWrong(
            lambda *a: _attend(*a, empty="mean"),
            "A row without any present key gets the mean of vectors that do not exist. It shall be "
            "zeros.",
        ),
        KnownWrong(_inverted, "The mask is turned: True marks what is present."),
        KnownWrong(_swapped, "Keys and values are exchanged: the scores come from the keys."),
    ),
    hints=(
        "scores = q @ k.transpose(0, 2, 1) / sqrt(d) has the shape (n, queries, keys).",
        "weights = exp(scores) * present[:, None, :], before they are divided by their sum.",
        "np.where(total > 0, total, 1) divides a row without keys by 1: zeros stay zeros.",
    ),
    notice="The queries come from one sequence, keys and values from another: that is all that "
    "separates cross-attention from self-attention. In a real network scores can be large: "
    "subtract the largest of a row before the exponential, which changes no weight.",
)
