"""Exercise ``stability_index``: the population stability index of scores."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    return np.quantile(values, np.arange(1, bins) / bins)


def _shares(values: np.ndarray, edges: np.ndarray, add: float = 0.5) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) + add
    return counts / counts.sum()


def _index(launch: np.ndarray, now: np.ndarray, bins: int) -> float:
    """The right answer."""
    p, q = (_shares(values, _edges(launch, bins)) for values in (launch, now))
    return float(((p - q) * np.log(p / q)).sum())


def _by(edges: np.ndarray, launch: np.ndarray, now: np.ndarray, add: float = 0.5) -> float:
    p, q = (_shares(values, edges, add) for values in (launch, now))
    return float(((p - q) * np.log(p / q)).sum())


def _divergence(first: np.ndarray, second: np.ndarray, bins: int, of: np.ndarray) -> float:
    p, q = (_shares(values, _edges(of, bins)) for values in (first, second))
    return float((p * np.log(p / q)).sum())


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(34)
    launch = rng.normal(size=40).round(3)
    others = (
        (rng.normal(size=50).round(3), 4, "the same model, other users"),
        (rng.normal(1.5, 1, size=30).round(3), 4, "higher scores"),
        (rng.exponential(size=60).round(3), 5, "another shape"),
        (launch.min() + rng.random(20).round(3) / 9, 4, "low scores: the upper bins are empty"),
        (launch, 3, "nothing has changed"),
    )
    return tuple(Case((launch, now, b), _index(launch, now, b), note=n) for now, b, n in others)


EXERCISE = Exercise(
    id="stability_index",
    title="An alarm",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda launch, now, bins: _by(_edges(now, bins), launch, now),
            "The bins are those of the scores now. They are fixed at launch, or the reference "
            "moves with what it watches.",
        ),
        KnownWrong(
            lambda launch, now, bins: _by(
                np.linspace(launch.min(), launch.max(), bins + 1)[1:-1], launch, now
            ),
            "The bins have equal width. With equal shares of the launch scores no bin is empty at "
            "launch: take quantiles.",
        ),
        KnownWrong(
            lambda launch, now, bins: _divergence(launch, now, bins, launch),
            "That is the divergence of one from the other. The index weights each logarithm by the "
            "difference p - q, which adds both directions.",
        ),
        KnownWrong(
            lambda launch, now, bins: _divergence(now, launch, bins, launch),
            "That is the divergence of now from launch, one direction only. The index weights each "
            "logarithm by p - q.",
        ),
        KnownWrong(
            lambda launch, now, bins: _index(launch, now, bins) / np.log(2),
            "The logarithm is to base 2: thresholds such as .25 are for the natural one.",
        ),
        KnownWrong(
            lambda launch, now, bins: _by(_edges(launch, bins), launch, now, add=1e-9),
            "Nothing is added to the counts, so an empty bin decides the value. Add half a score "
            "to each bin.",
        ),
        KnownWrong(
            lambda launch, now, bins: _by(_edges(launch, bins), launch, now, add=1.0),
            "One score is added to each bin; asked was a half.",
        ),
        KnownWrong(
            lambda launch, now, bins: -_index(launch, now, bins),
            "The sign is turned: each term (p - q) ln(p / q) is at least 0.",
        ),
    ),
    hints=(
        "np.quantile(launch, np.arange(1, bins) / bins) are the inner edges.",
        "np.searchsorted(edges, values) gives the bin of each score.",
        "Add 0.5 to the counts, divide by their sum, and sum (p - q) * np.log(p / q).",
    ),
    notice="With few scores the index is not 0 even if nothing changed: of 40 and 50 scores in "
    "four bins it is .1 by chance. Set the threshold on weeks that were fine.",
)
