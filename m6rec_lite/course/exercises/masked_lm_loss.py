"""Exercise ``masked_lm_loss``: the loss that fell too well."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _masked_loss(log_p: np.ndarray, ids: np.ndarray, asked: np.ndarray) -> float:
    rows = np.flatnonzero(asked)
    return float(-log_p[rows, np.asarray(ids)[rows]].mean())


def _each(log_p: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(n,): the logarithm of what each place gives to its own token."""
    return log_p[np.arange(len(ids)), ids]


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
            note="two of five are asked for",
        ),
        Case(
            args=(np.log(_P), _WORDS, np.array([False, True, False, False, False])),
            expected=np.log(4),
            note="one of five",
        ),
        Case(
            args=(np.log(_P), _WORDS, np.ones(5, dtype=bool)),
            expected=float(-_each(np.log(_P), _WORDS).mean()),
            note="all are asked for",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda log_p, ids, asked: float(-_each(log_p, ids).mean()),
            "All places count. At most of them the model reads the answer, so that copying brings "
            "the loss near 0: count those asked for alone.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-(_each(log_p, ids) * asked).mean()),
            "The sum is over those asked for, and the count is of all: fewer questions would mean "
            "a smaller loss.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-(_each(log_p, ids) * asked).sum()),
            "That is the sum; a batch with more questions would weigh more. Take the mean.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: -_masked_loss(log_p, ids, asked),
            "The sign: logarithms of chances are negative, and a loss is not.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(
                -(_each(log_p, ids) * ~asked).sum() / max(1, (~asked).sum())
            ),
            "The mask is turned round: this counts the places whose answer is in plain sight.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-log_p[asked].max(axis=1).mean()),
            "That is how sure the model is of its own favourite, right or wrong.",
        ),
        KnownWrong(
            lambda log_p, ids, asked: float(-np.log(np.exp(_each(log_p, ids)[asked]).mean())),
            "The logarithm of the mean is not the mean of the logarithms.",
        ),
    ),
    hints=(
        "At how many places of the example is there anything to guess?",
        "log_p[np.arange(len(ids)), ids] is what each place gives to its own token.",
        "Choose the places asked for, take the mean, turn the sign.",
    ),
    notice="The slip has no other symptom than a loss near 0 within minutes, and vectors that are "
    "good for nothing. Compare with what knows nothing: ln(vocabulary), or the word counts.",
)
