"""Exercises 04.1 and 04.2: padding that is read as a state, and padding that enters a loss."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 04.1 Error hunt: the last state, read at a pad


def last_state(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(batch, d): each row's state after its own last step; zeros for an empty row."""
    lengths = np.asarray(lengths)
    ends = states[np.arange(len(states)), np.maximum(lengths - 1, 0)]
    return np.where(lengths[:, None] > 0, ends, 0.0)


def _row_by_row(states: np.ndarray, lengths: np.ndarray) -> list:
    zero = np.zeros(states.shape[2])
    return [row[n - 1] if n else zero for row, n in zip(states, lengths, strict=True)]


def _off_by_one(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    places = np.minimum(np.asarray(lengths), states.shape[1] - 1)
    return np.where(np.asarray(lengths)[:, None] > 0, states[np.arange(len(states)), places], 0.0)


def _wrapped(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return states[np.arange(len(states)), np.asarray(lengths) - 1]


def _mean(states: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    real = (np.arange(states.shape[1]) < np.asarray(lengths)[:, None])[:, :, None]
    return (states * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


# The network has read on over the padding: no state behind a row's end is zero.
_STATES = np.array(
    [
        [[1.0, 2.0], [3.0, 4.0], [3.5, 4.5], [3.6, 4.6]],
        [[2.0, 0.0], [4.0, 2.0], [6.0, 4.0], [8.0, 6.0]],
        [[5.0, -5.0], [2.5, -2.5], [1.2, -1.2], [0.6, -0.6]],
    ]
)

LAST_STATE = Exercise(
    id="04.1",
    title="The last state, read at a pad",
    answer="last_state",
    cases=(
        Case(args=(_STATES, np.array([2, 4, 1])), wanted=[[3.0, 4.0], [8.0, 6.0], [5.0, -5.0]]),
        Case(
            args=(_STATES[:1, :2], np.array([2])), wanted=[[3.0, 4.0]], note="a row alone, unpadded"
        ),
        Case(args=(_STATES[:1], np.array([2])), wanted=[[3.0, 4.0]], note="the same row, padded"),
        Case(
            args=(_STATES[1:], np.array([3, 0])),
            wanted=[[6.0, 4.0], [0.0, 0.0]],
            note="an empty row",
        ),
        Case(
            args=(_STATES[2:, ::-1] * [1.0, -1.0], np.array([3])),
            wanted=[[2.5, 2.5]],
            note="states that rise",
        ),
        Case(args=(_STATES[2:], np.array([3])), wanted=[[1.2, -1.2]], note="states that fall"),
    ),
    known_wrong=(
        KnownWrong(
            lambda states, lengths: states[:, -1],
            "The last *place* is read, which for a short row is padding: the network has gone on "
            "over the pads.",
        ),
        KnownWrong(
            _off_by_one,
            "Off by one: a row of length n ends at place n - 1. Place n is its first pad.",
        ),
        KnownWrong(
            _wrapped,
            "Right for real rows. For an empty one, length - 1 is -1, and Python reads the last "
            "place: a pad. It shall be zeros.",
        ),
        KnownWrong(
            lambda states, lengths: states[:, np.max(lengths) - 1],
            "Every row is read at the end of the longest. Each has its own length.",
        ),
        KnownWrong(
            _mean,
            "That is the mean of the states. Only the last one is asked: it has read everything.",
        ),
        KnownWrong(
            lambda states, lengths: np.stack(
                [
                    row[:n].max(axis=0, initial=-9.0) if n else 0.0 * row[0]
                    for row, n in zip(states, lengths, strict=True)
                ]
            ),
            "That is the largest number of each dimension over time. Only the last state is asked.",
        ),
        KnownWrong(
            lambda states, lengths: states[:, 0],
            "That is the state after the first item: padding stands behind, not in front.",
        ),
    ),
    correct_alternatives=(last_state, _row_by_row),
    hints=(
        "At which place is the last real state of a row of length 2?",
        "states[np.arange(batch), lengths - 1] picks one place of each row.",
        "np.where(lengths[:, None] > 0, ..., 0.0) takes care of empty rows.",
    ),
    notice="`Recurrent(x, lengths=...)` and torch's packed sequences return exactly this state, "
    "and spend nothing on pads.",
)


# 04.2 Error hunt: padding in the loss


def _mask(targets: np.ndarray) -> np.ndarray:
    return np.asarray(targets) >= 0


def masked_loss(logp: np.ndarray, targets: np.ndarray) -> float:
    """Mean surprise over the real targets; -1 marks padding."""
    real = _mask(targets)
    picked = np.take_along_axis(logp, np.where(real, targets, 0)[..., None], axis=-1)[..., 0]
    return float(-picked[real].mean())


def _in_loops(logp: np.ndarray, targets: np.ndarray) -> float:
    found = [
        -float(logp[i, t, target])
        for i, row in enumerate(targets)
        for t, target in enumerate(row)
        if target >= 0
    ]
    return sum(found) / len(found)


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

MASKED_LOSS = Exercise(
    id="04.2",
    title="Padding in the loss",
    answer="masked_loss",
    cases=(
        Case(
            args=(np.log(_CHANCES), _TARGETS),
            wanted=7 * _LN2 / 4,
            note="four real targets of chances 1/2, 1/4, 1/4, 1/4",
        ),
        Case(
            args=(np.log(_CHANCES[:1]), _TARGETS[:1]),
            wanted=5 * _LN2 / 3,
            note="nothing is padded",
        ),
        Case(
            args=(np.log(_CHANCES[1:]), _TARGETS[1:]),
            wanted=2 * _LN2,
            note="one real target",
        ),
        Case(
            args=(np.log(_CHANCES), np.array([[-1, -1, -1], [0, -1, -1]])),
            wanted=_LN2,
            note="a row of padding alone",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda logp, targets: float(
                -np.take_along_axis(logp, targets[..., None], axis=-1).mean()
            ),
            "Padding enters the mean: the target -1 picks the *last* token's chance, and the "
            "network is praised for foreseeing pads.",
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
            "The sign is turned round: surprise is -ln of the chance, and never negative.",
        ),
        KnownWrong(
            lambda logp, targets: masked_loss(np.exp(logp), targets),
            "A mean of chances is not the log-likelihood: `logp` holds logarithms already.",
        ),
    ),
    correct_alternatives=(masked_loss, _in_loops),
    hints=(
        "Which of the six targets of the example are real? How many is that?",
        "logp[i, t, targets[i, t]], but never with the target -1, which Python takes for the last.",
        "real = targets >= 0; then the mean over [real].",
    ),
    notice="torch's cross_entropy has ignore_index=-100 for this. A test that finds the slip: add "
    "a column of padding; the loss may not move.",
)
