"""Exercise ``click_rate``: a click rate and how sure it is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _shown(clicks: list[list[int]], purchases: list[list[int]]) -> pd.DataFrame:
    """A table of responses: one row a shown item, a list a slate."""
    rows = [
        (slate, place, bool(click), bool(bought))
        for slate, (row, taken) in enumerate(zip(clicks, purchases, strict=True))
        for place, (click, bought) in enumerate(zip(row, taken, strict=True))
    ]
    return pd.DataFrame(rows, columns=["slate_id", "position", "clicked", "purchased"])


_FOUR = _shown(
    [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1]],
    [[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]],
)
_THREE = _shown([[1, 0], [0, 0], [1, 1]], [[0, 0], [0, 0], [1, 0]])


def _by_slate(responses: pd.DataFrame, event: str = "clicked") -> np.ndarray:
    return responses.groupby("slate_id")[event].mean().to_numpy(float)


def _rate_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _as_if_independent(responses: pd.DataFrame) -> tuple[float, float]:
    rate, n = responses["clicked"].mean(), len(responses)
    return float(rate), float(np.sqrt(rate * (1 - rate) / n))


def _rows_as_sample(responses: pd.DataFrame) -> tuple[float, float]:
    return _rate_and_error(responses["clicked"].to_numpy(float))


EXERCISE = Exercise(
    id="click_rate",
    title="A click rate and how sure it is",
    cases=(
        Case(args=(_FOUR,), expected=_rate_and_error(np.array([0.5, 0, 1, 0.5]))),
        Case(
            args=(_FOUR.iloc[[8, 0, 4, 12, 9, 1, 13, 5, 2, 10, 6, 14, 3, 11, 7, 15]],),
            expected=_rate_and_error(np.array([0.5, 0, 1, 0.5])),
            note="rows not in the order of the slates",
        ),
        Case(args=(_THREE,), expected=_rate_and_error(np.array([0.5, 0, 1]))),
    ),
    known_wrong=(
        KnownWrong(
            lambda responses: (
                float(_by_slate(responses).mean()),
                float(_by_slate(responses).std(ddof=1)),
            ),
            "That is the standard deviation: how much slates differ. The standard error says how "
            "much the *mean* would differ on other slates: divide by the root of their number.",
        ),
        KnownWrong(
            _as_if_independent,
            "That takes every shown item as a draw of its own. The items of one slate share one "
            "shopper and one mood: the slate is the unit, so take one mean a slate first.",
        ),
        KnownWrong(
            lambda responses: _rate_and_error(
                responses["clicked"]
                .to_numpy(float)
                .reshape(responses["slate_id"].nunique(), -1)
                .mean(axis=1)
            ),
            "That takes the rows in the order in which they stand. The rows of a slate need not "
            "be neighbours: group them by slate_id.",
        ),
        KnownWrong(
            _rows_as_sample,
            "That divides by the root of the number of *rows*. The items of one slate share one "
            "shopper and one mood: take one mean a slate first, then count slates.",
        ),
        KnownWrong(
            lambda responses: _rate_and_error(_by_slate(responses, "purchased")),
            'That counts purchases. The column of clicks is called "clicked".',
        ),
        KnownWrong(
            lambda responses: (
                float(_by_slate(responses).mean()),
                float(_by_slate(responses).std() / np.sqrt(len(_by_slate(responses)))),
            ),
            "The spread is divided by n. Around a mean taken from the same n values it must be "
            "n - 1: numpy wants std(ddof=1); pandas does that by itself.",
        ),
    ),
    hints=(
        'responses.groupby("slate_id")["clicked"].mean() gives one number a slate.',
        "The rate is the mean of these numbers. How far do they spread around it?",
        "The standard error is std(ddof=1) divided by the square root of how many slates.",
    ),
    notice="Rate ± 2 standard errors is a 95 % interval, near enough. To halve it you need four "
    "times the slates: precision is bought at a square.",
)
