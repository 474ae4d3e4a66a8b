"""Exercise ``masked_multi_task_loss``: several labels of one row, some of them missing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _terms(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``y ln p + (1 - y) ln(1 - p)``, NaN where there is no label."""
    return y * np.log(p) + (1 - y) * np.log(1 - p)


def _as(reduce: Callable[[np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return a loss with another reduction of the terms."""
    return lambda p, y: float(reduce(_terms(p, y)))


def _missing_is_no(p: np.ndarray, y: np.ndarray) -> float:
    return float(-_terms(p, np.nan_to_num(y)).sum() / len(p))


def _missing_rows(p: np.ndarray, y: np.ndarray) -> float:
    whole = ~np.isnan(y).any(axis=1)
    return float(-_terms(p[whole], y[whole]).sum() / max(1, whole.sum()))


_HALF = np.full((2, 2), 0.5)
_P = np.array([[0.8, 0.25], [0.1, 0.6], [0.5, 0.7]])
_Y = np.array([[1.0, math.nan], [0.0, 1.0], [1.0, 0.0]])
#: ln of the probability that each present label was given.
_EXPECTED = -(math.log(0.8) + math.log(0.9) + math.log(0.6) + math.log(0.5) + math.log(0.3)) / 3

EXERCISE = Exercise(
    id="masked_multi_task_loss",
    title="Several labels of one row, some of them missing",
    cases=(
        Case(
            (_HALF, np.array([[1.0, 0.0], [0.0, 1.0]])),
            2 * math.log(2),
            note="two rows, two labels, all probabilities one half",
        ),
        Case((_P, _Y), _EXPECTED, note="the first row was not clicked: was it bought?"),
        Case(
            (np.array([[0.5, 0.9]]), np.array([[1.0, math.nan]])),
            math.log(2),
            note="one row with one label",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _as(lambda terms: -np.nanmean(terms)),
            "That is a mean over all labels. The formula divides by the number of *rows*, and sums "
            "over the labels.",
        ),
        KnownWrong(
            _as(lambda terms: -np.nansum(terms)),
            "The sum is not divided by the number of rows: it grows with the batch, and so does "
            "what a weight before it means.",
        ),
        KnownWrong(
            _as(lambda terms: np.nansum(terms) / len(terms)),
            "The sign: logarithms of probabilities are negative, and a loss is to be made small.",
        ),
        KnownWrong(
            _missing_is_no,
            "A missing label counts as 0, so the model learns that nothing unseen is ever bought. "
            "Leave its term out.",
        ),
        KnownWrong(
            _missing_rows,
            "A row with one missing label is left out whole, and its other label is lost.",
        ),
        KnownWrong(
            _as(lambda terms: -terms.sum() / len(terms)),
            "A missing label is NaN, and one NaN makes the whole sum NaN.",
        ),
        KnownWrong(
            lambda p, y: float(-np.nansum(y * np.log(p)) / len(p)),
            "The second term is missing: where y is 0 the model must say 1 - p.",
        ),
    ),
    hints=(
        "First the matrix of all terms, then which of them are there.",
        "`np.isnan(y)` says which labels are missing; `np.where` replaces them before the product.",
        "Sum what is there, divide by `len(p)`, and mind the sign.",
    ),
    notice="Clicks are asked of every row, purchases of clicked ones only. Counting the unseen as "
    "0 would teach the product of both, under the name of one.",
)
