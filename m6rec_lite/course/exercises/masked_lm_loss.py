"""Exercise ``masked_lm_loss``: the loss that fell too well."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _masked_loss(log_p: np.ndarray, ids: np.ndarray, chosen: np.ndarray) -> float:
    rows = np.flatnonzero(chosen)
    return float(-log_p[rows, np.asarray(ids)[rows]].mean())


def _each(log_p: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(n,): the logarithm of what each position gives to its own token."""
    return log_p[np.arange(len(ids)), ids]


def _masked_by_numbers(log_p: np.ndarray, ids: np.ndarray, chosen: np.ndarray) -> float:
    rows = np.asarray(chosen).astype(int)
    return float(-log_p[rows, np.asarray(ids)[rows]].mean())


_P = np.array(
    [
        [0.97, 0.01, 0.01, 0.01],
        [0.25, 0.25, 0.25, 0.25],
        [0.01, 0.01, 0.97, 0.01],
        [0.10, 0.20, 0.20, 0.50],
        [0.01, 0.97, 0.01, 0.01],
    ]
)
_WORDS = np.array([0, 3, 2, 0, 1])
_ASKED = np.array([False, True, False, True, False])

EXERCISE = Exercise(
    id="masked_lm_loss",
    title="The loss that fell too well",
    cases=(
        Case(
            args=(np.log(_P), _WORDS, _ASKED),
            expected=(np.log(4) + np.log(10)) / 2,
            note="two of five are chosen",
        ),
        Case(
            args=(np.log(_P), _WORDS, np.array([False, True, False, False, False])),
            expected=np.log(4),
            note="one of five",
        ),
        Case(
            args=(np.log(_P), _WORDS, np.ones(5, dtype=bool)),
            expected=float(-_each(np.log(_P), _WORDS).mean()),
            note="all are chosen",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda log_p, ids, chosen: float(-_each(log_p, ids).mean()),
            "All positions count. At most of them the model reads the answer, so that copying "
            "brings the loss near 0: count those chosen alone.",
        ),
        KnownWrong(
            lambda log_p, ids, chosen: float(-(_each(log_p, ids) * chosen).mean()),
            "The sum is over those chosen, and the count is of all: fewer questions would mean "
            "a smaller loss.",
        ),
        KnownWrong(
            lambda log_p, ids, chosen: float(-(_each(log_p, ids) * chosen).sum()),
            "That is the sum; a batch with more questions would weigh more. Take the mean.",
        ),
        KnownWrong(
            lambda log_p, ids, chosen: -_masked_loss(log_p, ids, chosen),
            "The sign: logarithms of chances are negative, and a loss is not.",
        ),
        KnownWrong(
            lambda log_p, ids, chosen: float(
                -(_each(log_p, ids) * ~chosen).sum() / max(1, (~chosen).sum())
            ),
            "The mask is inverted: this counts the positions whose answer is in plain sight.",
        ),
        KnownWrong(
            lambda log_p, ids, chosen: float(-log_p[chosen].max(axis=1).mean()),
            "That is how sure the model is of its own favourite, right or wrong.",
        ),
        KnownWrong(
            _masked_by_numbers,
            "A bool array was turned into 0 and 1, and used as indices: only positions 0 and 1 are "
            "looked up. Index with the bool array itself, or with np.flatnonzero of it.",
        ),
        KnownWrong(
            lambda log_p, ids, chosen: float(-np.log(np.exp(_each(log_p, ids)[chosen]).mean())),
            "The logarithm of the mean is not the mean of the logarithms.",
        ),
    ),
    hints=(
        "At how many positions of the example is there anything to guess?",
        "log_p[np.arange(len(ids)), ids] is what each position gives to its own token.",
        "Take the chosen positions, take the mean, turn the sign.",
    ),
    notice="The mistake has no other symptom than a loss near 0 within minutes. Compare with what "
    "knows nothing: ln(vocabulary), or the word counts.",
)
