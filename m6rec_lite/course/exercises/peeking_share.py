"""Exercise ``peeking_share``: predict how often peeking errs, then measure it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Answer = Callable[[np.ndarray, np.ndarray, Sequence[int]], float]


def _signs(
    a: np.ndarray, b: np.ndarray, looks: Sequence[int], *, z: float = 1.96, ddof: int = 1
) -> np.ndarray:
    """``(looks, experiments)``: 1 or -1 where the difference is significant at a look, else 0."""
    found = []
    for n in looks:
        first, second = a[:, :n], b[:, :n]
        difference = first.mean(axis=1) - second.mean(axis=1)
        variance = (first.var(axis=1, ddof=ddof) + second.var(axis=1, ddof=ddof)) / n
        found.append(np.sign(difference) * (np.abs(difference) > z * np.sqrt(variance)))
    return np.array(found)


def _share(a: np.ndarray, b: np.ndarray, looks: Sequence[int]) -> float:
    """The right answer."""
    return float((_signs(a, b, looks) != 0).any(axis=0).mean())


def _between(a: np.ndarray, b: np.ndarray, looks: Sequence[int]) -> float:
    """Each look at the users since the last one only."""
    starts = [0, *looks[:-1]]
    parts = [
        _signs(a[:, start:end], b[:, start:end], [end - start])[0]
        for start, end in zip(starts, looks, strict=True)
    ]
    return float((np.array(parts) != 0).any(axis=0).mean())


def _draws(experiments: int, users: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first, second = rng.poisson(0.5, (2, experiments, users)).astype(float)
    return first, second


def _cases() -> tuple[Case, ...]:
    first, second = _draws(40, 30, 0)
    first[0], second[0] = 1.0, 1.0  # an experiment whose users are all alike
    rows: tuple[tuple[Any, ...], ...] = (
        (first, second, [30], "one look"),
        (first, second, [4, 8, 16, 30], "four looks"),
        (*_draws(60, 12, 1), [3, 6, 9, 12], "few users"),
        (first[:5] + 9.0, second[:5], [10, 30], "an effect that all looks find"),
    )
    return tuple(Case((*args,), _share(*args), note=note) for *args, note in rows)


def _twenty_looks(answer: Answer) -> float:
    return float(answer(*_draws(500, 2000, 2), range(100, 2001, 100)))


EXERCISE = OpenExercise(
    id="peeking_share",
    title="How often does peeking err?",
    cases=_cases,
    measured=_twenty_looks,
    example=0.05,
    known_wrong=(
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks)[-1] != 0).mean()),
            "Only the last look counts there. Whoever peeks stops at the *first* significant one.",
        ),
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks)[0] != 0).mean()),
            "Only the first look counts there. An experiment that goes on may become significant "
            "later.",
        ),
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks) != 0).mean()),
            "That is the share of *looks*. Wanted is the share of experiments with at least one.",
        ),
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks) != 0).all(axis=0).mean()),
            "Every look must be significant there. One is enough to stop: any, not all.",
        ),
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks) > 0).any(axis=0).mean()),
            "Only differences in favour of the first arm count. The test is two-sided: take the "
            "absolute value.",
        ),
        KnownWrong(
            _between,
            "Each look tests the users since the last one only. An experiment keeps its users: "
            "take the first n of each.",
        ),
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks, z=1.645) != 0).any(axis=0).mean()),
            "1.645 is the bound of a one-sided test. Two-sided, 5 % lie beyond 1.96.",
        ),
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks, ddof=0) != 0).any(axis=0).mean()),
            "The variance divides by n. From a sample divide by n - 1 (ddof=1).",
        ),
        KnownWrong(
            lambda a, b, looks: float((_signs(a, b, looks, z=1.96 / 2**0.5) != 0).any(0).mean()),
            "The variance of one arm is used. That of a difference is the sum of both.",
        ),
    ),
    hints=(
        "For one look n: means and variances of a[:, :n] and b[:, :n], along axis 1.",
        "|difference| > 1.96 * sqrt((variance a + variance b) / n), one bool an experiment.",
        "stopped |= … for each look, then stopped.mean().",
    ),
    notice="Twenty looks do not err in 20 times 5 %, since they share most of their users; but far "
    "more often than in 5 %. The sequential test of the lesson stays below 5 %.",
)
