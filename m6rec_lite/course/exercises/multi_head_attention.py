"""Exercise ``multi_head_attention``: several heads side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Heads = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]

_DRAWS = np.random.default_rng(11)


def _attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, width: float) -> np.ndarray:
    return softmax(q @ k.T / np.sqrt(width), axis=1) @ v


def _with(
    columns: Callable[[int, int, int], slice] = lambda h, d, n: slice(h * d // n, (h + 1) * d // n),
    width: Callable[[int, int], float] = lambda d, n: d / n,
    join: Callable[[list[np.ndarray]], np.ndarray] = lambda heads: np.concatenate(heads, axis=1),
    of: Callable[[int, int], int] = lambda h, n: h,
) -> Heads:
    """Return multi-head attention with another form of one of its parts.

    Args:
        columns: (head, d, heads) to the columns of that head.
        width: (d, heads) to the number whose root divides the scores.
        join: makes one array of the heads' results.
        of: (head, heads) to the head whose values are averaged.
    """

    def heads(q: np.ndarray, k: np.ndarray, v: np.ndarray, n_heads: int) -> np.ndarray:
        d, found = q.shape[1], []
        for head in range(n_heads):
            own = columns(head, d, n_heads)
            values = columns(of(head, n_heads), d, n_heads)
            found.append(_attend(q[:, own], k[:, own], v[:, values], width(d, n_heads)))
        return join(found)

    return heads


def _added(heads: list[np.ndarray]) -> np.ndarray:
    return np.sum(heads, axis=0)


def _stacked(heads: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(heads, axis=0)


def _interleaved(heads: list[np.ndarray]) -> np.ndarray:
    return np.stack(heads, axis=2).reshape(len(heads[0]), -1)


def _shared_weights(q: np.ndarray, k: np.ndarray, v: np.ndarray, n_heads: int) -> np.ndarray:
    """The weights of all heads are averaged before they meet the values."""
    parts = [np.split(each, n_heads, axis=1) for each in (q, k)]
    width = q.shape[1] / n_heads
    weights = [softmax(a @ b.T / np.sqrt(width), axis=1) for a, b in zip(*parts, strict=True)]
    return np.mean(weights, axis=0) @ v


def _reshaped(q: np.ndarray, k: np.ndarray, v: np.ndarray, n_heads: int) -> np.ndarray:
    """``reshape(n_heads, time, d / n_heads)`` without a transpose."""
    q, k, v = (each.reshape(n_heads, len(each), -1) for each in (q, k, v))
    width = q.shape[2]
    mixed = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(width), axis=2) @ v
    return mixed.transpose(1, 0, 2).reshape(q.shape[1], -1)


RIGHT = _with()
_Q, _K, _V = (_DRAWS.normal(size=shape).round(1) for shape in ((3, 6), (5, 6), (5, 6)))
_PAPER = (
    np.log(3) * np.sqrt(2) * np.array([[1.0, 0, 0, 1]]),
    np.array([[1.0, 0, 0, 0], [0, 0, 0, 1]]),
    np.array([[4.0, 8, 4, 8], [0, 0, 0, 0]]),
)

EXERCISE = Exercise(
    id="multi_head_attention",
    title="Several heads",
    cases=(
        Case(
            args=(*_PAPER, 2),
            expected=[[3.0, 6.0, 1.0, 2.0]],
            note="head 1 looks at the first key by 3/4, head 2 by 1/4",
        ),
        Case(args=(_Q, _K, _V, 1), expected=RIGHT(_Q, _K, _V, 1), note="one head"),
        Case(args=(_Q, _K, _V, 2), expected=RIGHT(_Q, _K, _V, 2), note="two heads"),
        Case(args=(_Q, _K, _V, 3), expected=RIGHT(_Q, _K, _V, 3), note="three heads"),
    ),
    known_wrong=(
        KnownWrong(
            lambda q, k, v, n_heads: _attend(q, k, v, q.shape[1]),
            "That is one head over all dimensions: n_heads is not used.",
        ),
        KnownWrong(
            _with(width=lambda d, n: d),
            "The scores are divided by the root of d. A head sees d / n_heads dimensions, and its "
            "products have that variance: divide by the root of d / n_heads.",
        ),
        KnownWrong(
            _with(width=lambda d, n: 1),
            "The scores are not divided by the root of the head's number of dimensions.",
        ),
        KnownWrong(
            _with(width=lambda d, n: n),
            "The scores are divided by the root of the number of heads. It is the number of "
            "dimensions of a head, d / n_heads, whose root is needed.",
        ),
        KnownWrong(
            _with(columns=lambda h, d, n: slice(h, d, n)),
            "The heads take every n_heads-th column, and are joined one after the other. Head h "
            "takes the columns from h * d / n_heads on, next to each other.",
        ),
        KnownWrong(
            _with(join=_added),
            "The heads are added up. Put them side by side, so that each keeps its own columns.",
        ),
        KnownWrong(
            _with(join=_stacked),
            "The heads are put below each other. Join them along the columns (axis 1).",
        ),
        KnownWrong(
            _with(join=_interleaved),
            "The columns of the heads are mixed: first those of head 1, then those of head 2.",
        ),
        KnownWrong(
            _with(of=lambda h, n: n - 1 - h),
            "Queries and keys of one head meet the values of another.",
        ),
        KnownWrong(
            _shared_weights,
            "The weights of the heads are averaged, and then they are one head. Each head averages "
            "its own columns of v by its own weights.",
        ),
        KnownWrong(
            _reshaped,
            "reshape(n_heads, time, …) cuts the rows, not the columns: a head gets parts of "
            "several positions. Reshape to (time, n_heads, d / n_heads), then transpose.",
        ),
    ),
    hints=(
        "Head h has the columns h * width to (h + 1) * width of q, k and v; width = d / n_heads.",
        "A loop over the heads, attention on each part, then np.concatenate(..., axis=1).",
        "Each head divides its scores by np.sqrt(width), not by the root of d.",
    ),
    notice="The cost is that of one head of d dimensions; the number of softmaxes is n_heads. What "
    "joins the heads again is the matrix W_O, which follows and is left out here.",
)
