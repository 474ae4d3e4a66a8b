"""Open exercise ``shortlist_hits``: what a shortlist hides of a weak ranker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Hits = Callable[[np.ndarray, np.ndarray, np.ndarray, int], tuple[float, float]]


def made_up(
    n: int, n_items: int, weak: float, strong: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores of a weak ranker and of a retriever, ``(n, n_items)``, and the targets.

    Each score is noise; that of the target is raised, by ``weak`` or by ``strong``.
    """
    draw = np.random.default_rng(seed)
    targets = draw.integers(n_items, size=n)
    language, retriever = draw.normal(size=(2, n, n_items))
    language[np.arange(n), targets] += weak
    retriever[np.arange(n), targets] += strong
    return language, retriever, targets


RANKERS = made_up(800, 500, 1.0, 2.5, 0)


def _ranks(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return (scores > scores[np.arange(len(scores)), targets][:, None]).sum(axis=1)


def _hit(scores: np.ndarray, targets: np.ndarray, n: int = 10) -> np.ndarray:
    return _ranks(scores, targets) < n


def _shortlist(retriever: np.ndarray, k: int) -> np.ndarray:
    """Mark the k highest scores of each row, ``(n, n_items)`` bool."""
    chosen = np.zeros(retriever.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(-retriever, axis=1)[:, :k], values=True, axis=1)
    return chosen


def _within(language: np.ndarray, chosen: np.ndarray, targets: np.ndarray) -> np.ndarray:
    inside = chosen[np.arange(len(targets)), targets]
    return inside & _hit(np.where(chosen, language, -np.inf), targets)


def _hits(
    language: np.ndarray, retriever: np.ndarray, targets: np.ndarray, k: int
) -> tuple[float, float]:
    short = _within(language, _shortlist(retriever, k), targets)
    return float(_hit(language, targets).mean()), float(short.mean())


def _second(short: Callable[..., float]) -> Hits:
    """The right share over all items, and another one over the shortlist."""

    def hits(
        language: np.ndarray, retriever: np.ndarray, targets: np.ndarray, k: int
    ) -> tuple[float, float]:
        every = float(_hit(language, targets).mean())
        return every, float(short(language, retriever, targets, k))

    return hits


def _target_added(
    language: np.ndarray, retriever: np.ndarray, targets: np.ndarray, k: int
) -> float:
    chosen = _shortlist(retriever, k)
    chosen[np.arange(len(targets)), targets] = True
    return float(_within(language, chosen, targets).mean())


def _retrieved_only(
    language: np.ndarray, retriever: np.ndarray, targets: np.ndarray, k: int
) -> float:
    chosen = _shortlist(retriever, k)
    inside = chosen[np.arange(len(targets)), targets]
    return float(_within(language, chosen, targets).sum() / max(inside.sum(), 1))


def _cases() -> tuple[Case, ...]:
    settings: tuple[tuple[Any, ...], ...] = (
        (60, 80, 1.0, 2.0, 1, 20, "60 people, 80 items"),
        (60, 80, 0.0, 3.0, 2, 12, "a ranker that knows nothing"),
        (50, 60, 2.0, 0.5, 3, 15, "the retriever is the weaker one"),
        (40, 50, 1.0, 1.0, 4, 50, "a shortlist of all items"),
    )
    return tuple(
        Case((*made_up(*args), k), _hits(*made_up(*args), k), note=note)
        for *args, k, note in settings
    )


EXERCISE = OpenExercise(
    id="shortlist_hits",
    title="Predict and measure: what a shortlist hides",
    data={"rankers": RANKERS},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _second(_target_added),
            "A target outside the shortlist counts as a hit when its score is high, as if it were "
            "added to the list. A target that the retriever missed is lost.",
        ),
        KnownWrong(
            _second(_retrieved_only),
            "Divided by the people whose target was retrieved. Divide by all people: whoever was "
            "missed has no hit.",
        ),
        KnownWrong(
            _second(lambda a, b, t, k: _within(b, _shortlist(b, k), t).mean()),
            "The shortlist is in the order of the retriever. The first ranker orders it.",
        ),
        KnownWrong(
            _second(lambda a, b, t, k: _within(a, _shortlist(a, k), t).mean()),
            "The shortlist was taken from the ranker that is judged. The retriever chooses it.",
        ),
        KnownWrong(
            _second(lambda a, b, t, k: _within(a, _shortlist(-b, k), t).mean()),
            "The k lowest scores were taken: sort from the highest.",
        ),
        KnownWrong(
            _second(lambda a, b, t, k: _shortlist(b, k)[np.arange(len(t)), t].mean()),
            "That is the share of targets in the shortlist, not among its first ten.",
        ),
        KnownWrong(
            lambda a, b, t, k: _hits(a, b, t, k)[::-1],
            "The two numbers are exchanged: all items first, then the shortlist.",
        ),
        KnownWrong(
            lambda a, b, t, k: (
                float((_ranks(a, t) <= 10).mean()),
                _hits(a, b, t, k)[1],
            ),
            "Ranks count from 0, so the first ten have ranks 0 to 9: `<`, not `<=`.",
        ),
    ),
    hints=(
        "The rank of a target is the number of items with a higher score.",
        "np.argsort(-retriever, axis=1)[:, :k] are the shortlists.",
        "A hit in the shortlist: the target is in it, and fewer than ten of it score higher.",
    ),
    notice="The ranker is the same in both columns. What the shortlist adds is the retriever's.",
    measured=lambda answer: float(np.divide(*answer(*RANKERS, 20)[::-1])),
    example=3.0,
)
