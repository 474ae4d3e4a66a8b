"""Exercise ``stability_index``: PSI, with bins of the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Index = Callable[[np.ndarray, np.ndarray, int], float]


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def _index(
    *,
    edges: Callable[[np.ndarray, np.ndarray, int], np.ndarray] | None = None,
    smoothing: float = 0.5,
    value: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    shares: bool = True,
) -> Index:
    """Return the right answer, or one with a mistake."""

    def index(reference: np.ndarray, now: np.ndarray, bins: int) -> float:
        make = edges or (lambda a, b, n: np.quantile(a, np.arange(1, n) / n))
        p, q = (_counts(v, make(reference, now, bins)) + smoothing for v in (reference, now))
        if shares:
            p, q = p / p.sum(), q / q.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            return float((value or (lambda p, q: (p - q) * np.log(p / q)))(p, q).sum())

    return index


_answer = _index()


def _equal_widths(reference: np.ndarray, now: np.ndarray, bins: int) -> np.ndarray:
    return np.linspace(reference.min(), reference.max(), bins + 1)[1:-1]


def _cases() -> tuple[Case, ...]:
    draws = np.random.default_rng(0)
    scores = draws.gamma(2.0, size=60)
    rows: tuple[tuple[Any, ...], ...] = (
        (np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6, 7, 8]), 2, "two bins, one nearly empty"),
        (scores, draws.gamma(3.0, size=35), 4, "higher scores"),
        (scores, scores, 5, "nothing changed"),
        (scores, np.full(20, 100.0), 3, "all in the last bin, beyond the reference"),
        (np.arange(7.0), np.array([2.0, 4, 4]), 3, "values on the edges"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="stability_index",
    title="The population stability index",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _index(edges=lambda a, b, n: np.quantile(b, np.arange(1, n) / n)),
            "The bins are those of the new values, which then always look evenly spread. Cut the "
            "reference into equal shares.",
        ),
        KnownWrong(
            _index(edges=_equal_widths),
            "The bins have equal widths. Wanted are equal shares of the reference: its quantiles.",
        ),
        KnownWrong(
            _index(smoothing=0.0),
            "Empty bins are not smoothed: their logarithm is infinite. Add 0.5 to each count.",
        ),
        KnownWrong(
            _index(value=lambda p, q: p * np.log(p / q)),
            "That is the Kullback-Leibler divergence, one direction of two: PSI has (p - q).",
        ),
        KnownWrong(
            _index(value=lambda p, q: (q - p) * np.log(p / q)),
            "The sign is reversed: each term (p - q) ln(p / q) is at least 0.",
        ),
        KnownWrong(
            _index(value=lambda p, q: (p - q) * np.log2(p / q)),
            "The logarithm is natural: with log2 the index is 1.44 times as large, and no "
            "threshold fits.",
        ),
        KnownWrong(
            _index(shares=False),
            "Counts are compared, so a sample of another size always differs. Divide by the sum.",
        ),
    ),
    hints=(
        "The inner edges: np.quantile(reference, np.arange(1, bins) / bins).",
        "np.searchsorted(edges, values) is the bin of each; np.bincount(..., minlength=bins).",
        "Shares: (counts + 0.5) / (counts + 0.5).sum(), for both; then the sum of "
        "(p - q) * np.log(p / q).",
    ),
    notice="Under no change the index is about (bins - 1) (1/n + 1/m): compare it with that before "
    "you wake anybody.",
)
