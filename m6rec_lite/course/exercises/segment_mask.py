"""Exercise ``segment_mask``: the mask of the layers that run on segments alone."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _mask(segment: np.ndarray, known: int) -> np.ndarray:
    """The right answer: (time, time) bool."""
    i, j = np.indices((len(segment), len(segment)))
    return (segment[i] == segment[j]) & ((j < known) | (j <= i))


def _same(segment: np.ndarray) -> np.ndarray:
    return segment[:, None] == segment[None, :]


def _lower(segment: np.ndarray) -> np.ndarray:
    return np.tri(len(segment), dtype=bool)


def _known(segment: np.ndarray, known: int) -> np.ndarray:
    return np.arange(len(segment)) < known


def _cases() -> tuple[Case, ...]:
    inputs = (
        ([0, 1, 1, 1, 2, 2], 4, "two known segments, one written"),
        ([0, 0, 1, 1, 1, 2, 2, 3, 3], 5, "two of each"),
        ([0, 0, 0], 3, "all of it is known"),
        ([0, 0, 0, 1, 1], 0, "nothing is known"),
    )
    rows = [(np.array(segment), known, note) for segment, known, note in inputs]
    return tuple(Case((s, k), _mask(s, k), note=note) for s, k, note in rows)


EXERCISE = Exercise(
    id="segment_mask",
    title="The mask of the layers that run on segments alone",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda segment, known: _known(segment, known)[None, :] | _lower(segment),
            "That is the mask of the joint layers; here a token attends to its own segment only.",
        ),
        KnownWrong(
            lambda segment, known: _same(segment),
            "Written segments must be causal: a written token may not attend to a later one.",
        ),
        KnownWrong(
            lambda segment, known: _same(segment) & _lower(segment),
            "Known segments are bidirectional: only the written ones are causal.",
        ),
        KnownWrong(
            lambda segment, known: _same(segment) & (_known(segment, known - 1) | _lower(segment)),
            "The last token of the known region is missing: known are the indices below `known`.",
        ),
        KnownWrong(
            lambda segment, known: _mask(segment, known).T,
            "Rows and columns are exchanged: row i says what token i attends to.",
        ),
        KnownWrong(
            lambda segment, known: (
                _same(segment) & (_known(segment, known) | np.tri(len(segment), k=-1, dtype=bool))
            ),
            "A written token attends to itself too: j <= i, not j < i.",
        ),
        KnownWrong(
            lambda segment, known: ~_mask(segment, known),
            "The mask is inverted: True marks what may be attended to.",
        ),
        KnownWrong(
            lambda segment, known: _mask(segment, known).astype(int),
            "The mask holds numbers, which attention would add to the scores; return bool.",
        ),
        KnownWrong(
            lambda segment, known: (_same(segment) & _known(segment, known)) | _lower(segment),
            "`&` binds more tightly than `|`: put `known or not later` in brackets first.",
        ),
    ),
    hints=(
        "Two conditions: the same segment; and known, or not later.",
        "segment[:, None] == segment[None, :] compares all pairs; rows attend to columns.",
        "np.tri(n, dtype=bool) is True where j <= i; np.arange(n) < known marks known tokens.",
    ),
    notice="Because no segment reads another one here, its states depend on its tokens alone: that "
    "is what allows a cache. A test of the package changes a token of one segment and finds the "
    "states of all others unchanged.",
)
