"""Exercise ``joint_percentile``: the percentile of the requests of several servers together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Percentile = Callable[[list[np.ndarray], float], float]


def _one(times: np.ndarray, q: float) -> float:
    """The least time that at least q percent of the times do not exceed."""
    return float(np.sort(times)[math.ceil(q * len(times) / 100) - 1])


def _answer(servers: list[np.ndarray], q: float) -> float:
    """The right answer."""
    return _one(np.concatenate(servers), q)


def _of(combine: Callable[[list[float], list[int]], float]) -> Percentile:
    def percentile(servers: list[np.ndarray], q: float) -> float:
        return combine([_one(s, q) for s in servers], [len(s) for s in servers])

    return percentile


def _at(index: Callable[[int, float], int]) -> Percentile:
    def percentile(servers: list[np.ndarray], q: float) -> float:
        times = np.sort(np.concatenate(servers))
        return float(times[min(max(index(len(times), q), 0), len(times) - 1)])

    return percentile


def _cases() -> tuple[Case, ...]:
    quick, slow = np.arange(1.0, 20.0), np.array([40.0, 500.0])
    rows: tuple[tuple[Any, ...], ...] = (
        ([quick, slow], 90.0, "a quick server with 19 requests, a slow one with two"),
        ([quick, slow], 50.0, "their median"),
        ([np.array([7.0, 3.0, 5.0, 1.0])], 75.0, "one server, unsorted, exactly three of four"),
        ([np.array([4.0]), np.array([9.0, 2.0, 6.0])], 30.0, "four requests"),
        ([slow, np.arange(1.0, 121.0)], 100.0, "the slowest of 122"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="joint_percentile",
    title="The percentile of several servers",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _of(lambda values, counts: float(np.mean(values))),
            "The percentiles of the servers are averaged. That is the percentile of no set of "
            "requests: put the requests together first.",
        ),
        KnownWrong(
            _of(lambda values, counts: float(np.average(values, weights=counts))),
            "The percentiles are averaged with the numbers of requests as weights. Still wrong: "
            "the slowest requests may all be of one server.",
        ),
        KnownWrong(
            _of(lambda values, counts: max(values)),
            "That is the worst server's percentile. It would be right if each page asked all of "
            "them; here each request asks one.",
        ),
        KnownWrong(
            lambda servers, q: float(np.percentile(np.concatenate(servers), q)),
            "np.percentile draws a line between two measurements: its default gives a time that no "
            'request had. Wanted is a measured time: method="inverted_cdf", or sort and count.',
        ),
        KnownWrong(
            _at(lambda n, q: math.ceil(q * n / 100)),
            "One too far: the m-th smallest time has the index m - 1.",
        ),
        KnownWrong(
            _at(lambda n, q: math.floor(q * n / 100) - 1),
            "Rounded down: then fewer than q percent stay at or below it. Round up.",
        ),
        KnownWrong(
            _at(lambda n, q: math.ceil((100 - q) * n / 100) - 1),
            "Counted from the slowest: q percent of the requests are at or *below* the percentile.",
        ),
    ),
    hints=(
        "Whose percentile is it? Put all requests into one array.",
        "Sort. The m-th smallest time has at least q percent at or below it if m >= q n / 100.",
        "times[math.ceil(q * n / 100) - 1]",
    ),
    notice="Servers report counts of requests by time (a histogram) for this reason: counts can be "
    "added, percentiles cannot.",
)
