"""Exercise ``soft_prompt_mask``: the attention mask with soft tokens in front."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _mask(soft: int, known: int, time: int) -> np.ndarray:
    """Return the mask of soft tokens and a row."""
    total = soft + time
    at = np.arange(total)
    return (at[None, :] <= at[:, None]) | (at[None, :] < soft + known)


def _forgot_prefix(soft: int, known: int, time: int) -> np.ndarray:
    at = np.arange(soft + time)
    return (at[None, :] <= at[:, None]) | (at[None, :] < known)


def _causal(soft: int, known: int, time: int) -> np.ndarray:
    return np.tri(soft + time, dtype=bool)


def _all(soft: int, known: int, time: int) -> np.ndarray:
    return np.ones((soft + time, soft + time), dtype=bool)


def _blind(soft: int, known: int, time: int) -> np.ndarray:
    mask = _mask(soft, known, time)
    mask[:soft, soft:] = False
    return mask


def _soft_causal(soft: int, known: int, time: int) -> np.ndarray:
    mask = _mask(soft, known, time)
    mask[:soft, :soft] = np.tri(soft, dtype=bool)
    return mask


def _case(soft: int, known: int, time: int, note: str = "") -> Case:
    return Case((soft, known, time), _mask(soft, known, time), note=note)


EXERCISE = Exercise(
    id="soft_prompt_mask",
    title="The attention mask with soft tokens in front",
    cases=(
        Case(
            (1, 1, 3),
            np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], dtype=bool),
            note="one soft token, one known, two written",
        ),
        _case(3, 2, 5),
        _case(2, 0, 3, note="no user region"),
        _case(0, 2, 4, note="no soft token"),
    ),
    known_wrong=(
        KnownWrong(
            _forgot_prefix,
            "The user region is counted without the soft tokens, so its last ones are hidden from "
            "the others. The model's prefix_length includes them.",
        ),
        KnownWrong(
            _causal,
            "That is causal throughout: the user region attends to itself both ways.",
        ),
        KnownWrong(_all, "The written region may not attend to what comes after it."),
        KnownWrong(
            _blind,
            "Soft tokens belong to the user region and attend to all of it; here they attend to "
            "each other only.",
        ),
        KnownWrong(
            _soft_causal,
            "Soft tokens attend to each other both ways, as all tokens of the user region do.",
        ),
        KnownWrong(
            lambda soft, known, time: _mask(soft, known, time).T,
            "Transposed: rows are the queries, columns the keys.",
        ),
        KnownWrong(
            lambda soft, known, time: _mask(0, known, time),
            "The soft tokens are missing: the mask has soft + time rows and columns.",
        ),
    ),
    hints=(
        "Number all positions from 0 to soft + time - 1; rows are queries, columns are keys.",
        "Every row attends to the columns of the user region, soft tokens included.",
        "Row i attends to any other column j where j <= i.",
    ),
    notice="The paper's prefix mask is unchanged: soft tokens are only further tokens of the user "
    "region. A prefix_length without them is a mistake that raises no error.",
)
