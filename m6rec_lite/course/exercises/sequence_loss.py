"""Exercise ``sequence_loss``: padding in the loss."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _mask(targets: np.ndarray) -> np.ndarray:
    return np.asarray(targets) >= 0


def masked_loss(logp: np.ndarray, targets: np.ndarray) -> float:
    """Mean surprise over the real targets; -1 marks padding."""
    real = _mask(targets)
    picked = np.take_along_axis(logp, np.where(real, targets, 0)[..., None], axis=-1)[..., 0]
    return float(-picked[real].mean())


def _picked(logp: np.ndarray, targets: np.ndarray) -> np.ndarray:
    real = _mask(targets)
    picked = np.take_along_axis(logp, np.where(real, targets, 0)[..., None], axis=-1)[..., 0]
    return np.where(real, picked, 0.0)


def _mean_of_means(logp: np.ndarray, targets: np.ndarray) -> float:
    real = _mask(targets)
    rows = -_picked(logp, targets).sum(axis=1) / np.maximum(real.sum(axis=1), 1)
    return float(rows.mean())


_CHANCES = np.array(
    [
        [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]],
        [[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.125, 0.125, 0.75]],
    ]
)
_TARGETS = np.array([[0, 0, 1], [1, -1, -1]])
_LN2 = float(np.log(2))

EXERCISE = Exercise(
    id="sequence_loss",
    title="Padding in the loss",
    cases=(
        Case(
            args=(np.log(_CHANCES), _TARGETS),
            expected=7 * _LN2 / 4,
            note="four real targets of chances 1/2, 1/4, 1/4, 1/4",
        ),
        Case(
            args=(np.log(_CHANCES[:1]), _TARGETS[:1]),
            expected=5 * _LN2 / 3,
            note="nothing is padded",
        ),
        Case(
            args=(np.log(_CHANCES[1:]), _TARGETS[1:]),
            expected=2 * _LN2,
            note="one real target",
        ),
        Case(
            args=(np.log(_CHANCES), np.array([[-1, -1, -1], [0, -1, -1]])),
            expected=_LN2,
            note="a row of padding alone",
        ),
        Case(
            args=(np.log(_CHANCES), np.array([[2, 1, 2], [0, -1, -1]])),
            expected=5 * _LN2 / 4,
            note="chances 1/4, 1/2, 1/2, 1/2; target 2 is the last token",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda logp, targets: float(
                -np.take_along_axis(logp, targets[..., None], axis=-1).mean()
            ),
            "Padding enters the mean: the target -1 picks the *last* token's chance, and the "
            "network is rewarded for predicting pads.",
        ),
        KnownWrong(
            lambda logp, targets: float(-_picked(logp, targets).mean()),
            "Pads are out of the sum, and still in the count: the loss looks better the more is "
            "padded. Divide by the number of real targets.",
        ),
        KnownWrong(
            _mean_of_means,
            "A mean of the rows' means: a target of a short row counts more than one of a long "
            "row, and rows without targets count as perfect. One mean over all real targets.",
        ),
        KnownWrong(
            lambda logp, targets: float(-_picked(logp, targets).sum()),
            "That is the sum. A loss that grows with the batch changes the learning rate with it: "
            "divide by the number of real targets.",
        ),
        KnownWrong(
            lambda logp, targets: -masked_loss(logp, targets),
            "The sign is wrong: surprise is -ln of the chance, and never negative.",
        ),
        KnownWrong(
            lambda logp, targets: masked_loss(np.exp(logp), targets),
            "A mean of chances is not the log-likelihood: `logp` holds logarithms already.",
        ),
    ),
    hints=(
        "Which of the six targets of the example are real? How many is that?",
        "logp[i, t, targets[i, t]], but never with the target -1, which Python takes for the last.",
        "real = targets >= 0; then the mean over [real].",
    ),
    notice="torch's cross_entropy has ignore_index=-100 for this. A test that finds the mistake: "
    "add a column of padding; the loss may not move.",
)
