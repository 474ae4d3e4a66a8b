"""Open exercise ``window_hits``: how long a window of recent popularity should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Hits = Callable[[np.ndarray, np.ndarray, float, float, int], float]

ITEMS, EVENTS, DAYS, CUT = 200, 12_000, 200.0, 180.0


def _log() -> tuple[np.ndarray, np.ndarray]:
    """Return items and times in days: each item has a lasting appeal and a week of fashion."""
    draw = np.random.default_rng(11)
    appeal = draw.exponential(size=ITEMS)
    centre = draw.uniform(0, DAYS, ITEMS)
    times = np.sort(draw.uniform(0, DAYS, EVENTS)).round(3)
    odds = appeal * (1 + 12 * np.exp(-0.5 * ((times[:, None] - centre) / 12) ** 2))
    bounds = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    items = (bounds < draw.random((EVENTS, 1))).sum(axis=1)
    return np.minimum(items, ITEMS - 1), times


LOG = _log()


def _hits(
    items: np.ndarray,
    times: np.ndarray,
    cut: float,
    days: float,
    k: int,
    *,
    counted: Callable[[np.ndarray, float, float], np.ndarray] | None = None,
    sign: int = -1,
    asked: Callable[[np.ndarray, float], np.ndarray] | None = None,
) -> float:
    """The share of later events in the top k; other rows are counted or asked for the mistakes."""
    items, times = np.asarray(items), np.asarray(times)
    window = (times >= cut - days) & (times < cut) if counted is None else counted(times, cut, days)
    later = times >= cut if asked is None else asked(times, cut)
    counts = np.bincount(items[window], minlength=int(items.max()) + 1)
    top = np.argsort(sign * counts, kind="stable")[:k]
    return float(np.isin(items[later], top).mean())


def _of_different_items(
    items: np.ndarray, times: np.ndarray, cut: float, days: float, k: int
) -> float:
    items, times = np.asarray(items), np.asarray(times)
    counts = np.bincount(
        items[(times >= cut - days) & (times < cut)], minlength=int(items.max()) + 1
    )
    top = np.argsort(-counts, kind="stable")[:k]
    return float(np.isin(top, items[times >= cut]).mean())


def _wrong(**options: object) -> Hits:
    def hits(items: np.ndarray, times: np.ndarray, cut: float, days: float, k: int) -> float:
        return _hits(items, times, cut, days, k, **options)  # type: ignore[arg-type]

    return hits


_SMALL = (
    np.array([0, 0, 0, 1, 2, 2, 3, 1, 2, 1, 3, 3]),
    np.array([0.0, 1, 2, 5, 8, 9, 9.5, 10, 10, 11, 12, 13]),
)


def _cases() -> tuple[Case, ...]:
    settings: tuple[tuple[Any, ...], ...] = (
        (*_SMALL, 10.0, 2.0, 1, "the window is two days, and begins with the event at day 8"),
        (*_SMALL, 10.0, 1.0, 1, "tied items: the smaller number first"),
        (*_SMALL, 10.0, 0.6, 2, "two events at the moment of the cut"),
        (*_SMALL, 10.0, 100.0, 2, "all days, two items"),
        (*_SMALL, 3.0, 1.5, 4, "a list longer than what was counted"),
        (*LOG, 100.0, 10.0, 10, "the middle of the log, ten days"),
        (*LOG, 150.0, 150.0, 5, "all days before day 150"),
    )
    return tuple(Case((*args,), _hits(*args), note=note) for *args, note in settings)


EXERCISE = OpenExercise(
    id="window_hits",
    title="Predict and measure: the window of recent popularity",
    data={"items": LOG[0], "times": LOG[1], "cut": CUT},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _wrong(counted=lambda times, cut, days: times < cut),
            "All events before the cut are counted, so the window has no effect.",
        ),
        KnownWrong(
            _wrong(counted=lambda times, cut, days: times >= cut - days),
            "The counts contain events after the cut: the answers are in the training data.",
        ),
        KnownWrong(
            _wrong(counted=lambda times, cut, days: (times >= cut) & (times < cut + days)),
            "The counts are those of the days after the cut. Only earlier events are known.",
        ),
        KnownWrong(
            _wrong(counted=lambda times, cut, days: times < days),
            "The window lies at the beginning of the log. It ends at the cut.",
        ),
        KnownWrong(
            _wrong(counted=lambda times, cut, days: (times > cut - days) & (times < cut)),
            "The event at the start of the window is left out: cut - days <= time < cut.",
        ),
        KnownWrong(
            _wrong(counted=lambda times, cut, days: (times >= cut - days) & (times <= cut)),
            "The events at the moment of the cut are counted, and they are asked too: time < cut.",
        ),
        KnownWrong(
            _wrong(sign=1),
            "The least popular items are taken: sort by falling counts.",
        ),
        KnownWrong(
            _wrong(asked=lambda times, cut: times > cut),
            "The events at the moment of the cut are not asked: those with time >= cut are.",
        ),
        KnownWrong(
            _wrong(asked=lambda times, cut: times < cut),
            "The hits are counted before the cut, on the rows that made the list.",
        ),
        KnownWrong(
            _of_different_items,
            "That is the share of the list that occurs later. Asked is the share of the later "
            "events whose item is in the list.",
        ),
    ),
    hints=(
        "Two masks of the rows: those in the window, and those from the cut on.",
        "np.bincount counts items; np.argsort(-counts, kind='stable')[:k] is the list.",
        "np.isin(items[later], top).mean()",
    ),
    notice="Too long a window counts what was in fashion before, too short a one counts noise. The "
    "best length depends on how fast tastes change, and is chosen on validation.",
    measured=lambda answer: float(answer(*LOG, CUT, 14.0, 10) / answer(*LOG, CUT, 10 * DAYS, 10)),
    example=1.5,
)
