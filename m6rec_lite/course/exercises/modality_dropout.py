"""Exercise ``modality_dropout``: let inputs go missing in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _dropped(
    present: np.ndarray,
    rate: float,
    draws: np.ndarray,
    *,
    saved: str = "largest",
    above: bool = False,
    appears: bool = False,
    whole: bool = False,
) -> np.ndarray:
    """The right answer; what is behind the star makes the known mistakes."""
    survives = draws < rate if above else draws >= rate
    if whole:
        survives = np.broadcast_to(survives[:1], survives.shape)
    kept = survives.copy() if appears else present & survives
    lost = present.any(axis=1) & ~kept.any(axis=1)
    if saved == "none":
        return kept
    if saved == "all":
        kept[lost] = present[lost]
        return kept
    if saved == "first":
        best = present.argmax(axis=1)
    elif saved == "any":
        best = draws.argmax(axis=1)
    else:
        best = np.where(present, draws, -1.0).argmax(axis=1)
    kept[lost, best[lost]] = True
    return kept


def _cases() -> tuple[Case, ...]:
    here = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    draws = np.array(
        [[0.9, 0.2, 0.4], [0.1, 0.25, 0.2], [0.1, 0.2, 0.25], [0.8, 0.1, 0.9], [0.1, 0.9, 0.5]]
    )
    turned = here[:, ::-1].copy(), 0.5, draws[:, ::-1].copy()
    edge = np.ones((2, 2), dtype=bool), 0.5, np.array([[0.5, 0.9], [0.0, 0.2]])
    rows: tuple[tuple[Any, ...], ...] = (
        (here, 0.3, draws, "three modalities; the last item has none of them"),
        (*turned, "a higher rate, the columns turned round"),
        (np.ones((2, 3), dtype=bool), 0.0, draws[:2], "a rate of 0 drops nothing"),
        (*edge, "a draw equal to the rate is kept"),
    )
    return tuple(Case(tuple(args), _dropped(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="modality_dropout",
    title="Let inputs go missing in training",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda *a: _dropped(*a, saved="none"),
            "An item may lose all it has. Nothing is left to learn from: keep the modality with "
            "the largest draw.",
        ),
        KnownWrong(
            lambda *a: _dropped(*a, saved="all"),
            "An item that would lose all gets all of it back. Keep only one: the present modality "
            "with the largest draw.",
        ),
        KnownWrong(
            lambda *a: _dropped(*a, saved="first"),
            "The first modality is the one that is kept, so the model seldom learns to do without "
            "it. Keep the one with the largest draw.",
        ),
        KnownWrong(
            lambda *a: _dropped(*a, saved="any"),
            "The largest draw of a row can belong to a modality that the item lacks. Look among "
            "the present ones.",
        ),
        KnownWrong(
            lambda *a: _dropped(*a, above=True),
            "Turned round: a modality is dropped if its draw is *below* the rate.",
        ),
        KnownWrong(
            lambda *a: _dropped(*a, appears=True),
            "A modality that the item does not have has appeared: dropout only takes away.",
        ),
        KnownWrong(
            lambda *a: _dropped(*a, whole=True),
            "All items lose the same modality, that of the first row's draws. Each item has its "
            "own draws.",
        ),
    ),
    hints=(
        "kept = present & (draws >= rate)",
        "Which rows had something and have nothing now? present.any(axis=1) & ~kept.any(axis=1)",
        "np.where(present, draws, -1).argmax(axis=1) has the largest draw among the present.",
    ),
    notice="At test time nothing is dropped: only what is missing in fact is missing. Unlike "
    "dropout of single numbers, no scale is needed, because the fusion knows what is missing.",
)
