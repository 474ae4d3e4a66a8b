"""Exercise ``sentence_vectors``: model(x)[0][0]."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Output = tuple[np.ndarray, np.ndarray]


def _mask_as_length(output: Output, mask: np.ndarray) -> np.ndarray:
    rows = zip(output[0], np.asarray(mask).sum(axis=1), strict=True)
    return np.stack([row[:n].mean(axis=0) if n else 0 * row[0] for row, n in rows])


def _sum_over_places(output: Output, mask: np.ndarray) -> np.ndarray:
    return (output[0] * np.asarray(mask)[:, :, None]).mean(axis=1)


def _not_guarded(output: Output, mask: np.ndarray) -> np.ndarray:
    real = np.asarray(mask)[:, :, None]
    with np.errstate(invalid="ignore"):
        return (output[0] * real).sum(axis=1) / real.sum(axis=1)


_STATES = np.array(
    [
        [[1.0, 0.0], [3.0, 2.0], [5.0, 4.0], [3.0, 6.0]],
        [[2.0, 2.0], [4.0, 0.0], [7.0, 7.0], [7.0, 7.0]],
        [[6.0, 1.0], [7.0, 7.0], [7.0, 7.0], [7.0, 7.0]],
    ]
)
_MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
_POOLED = np.tanh(_STATES[:, 0])
_OUTPUT = (_STATES, _POOLED)
_MEANS = [[3.0, 3.0], [3.0, 1.0], [6.0, 1.0]]

EXERCISE = Exercise(
    id="sentence_vectors",
    title="model(x)[0][0]",
    cases=(
        Case(args=(_OUTPUT, _MASK), expected=_MEANS, note="three texts of four, two and one token"),
        Case(
            args=((_STATES[1:2, :2], _POOLED[1:2]), _MASK[1:2, :2]),
            expected=_MEANS[1:2],
            note="the second text alone, unpadded",
        ),
        Case(
            args=((_STATES[:2], _POOLED[:2]), np.array([[1, 1, 1, 1], [0, 0, 0, 0]])),
            expected=[[3.0, 3.0], [0.0, 0.0]],
            note="an empty text",
        ),
        Case(
            args=((_STATES[1:2, ::-1], _POOLED[1:2]), _MASK[1:2, ::-1]),
            expected=_MEANS[1:2],
            note="padded in front",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda output, mask: output[0][0],
            "output[0] holds the states of all texts, so output[0][0] is the token matrix of the "
            "first: a row for each of its tokens, and nothing of the other texts.",
        ),
        KnownWrong(
            lambda output, mask: output[0][0].mean(axis=0),
            "That is one vector, the first text's. There are as many to give as texts.",
        ),
        KnownWrong(
            lambda output, mask: output[0].mean(axis=1),
            "Padding enters the mean: the second text alone has another vector than beside a "
            "longer one. Use the mask.",
        ),
        KnownWrong(
            _sum_over_places,
            "Padding is out of the sum and still in the count: divide by the text's own length.",
        ),
        KnownWrong(
            lambda output, mask: output[0][:, 0],
            "That is the state of the first token, [CLS]. It speaks for the text only where "
            "training made it; here the mean is expected.",
        ),
        KnownWrong(
            lambda output, mask: output[1],
            "output[1] is the pooler's: a layer on [CLS] that was trained for the sentence pair "
            "task, and in models without that task is random.",
        ),
        KnownWrong(
            lambda output, mask: np.where(np.asarray(mask)[:, :, None] > 0, output[0], -np.inf).max(
                axis=1
            ),
            "That is the largest number of each dimension, not the mean.",
        ),
        KnownWrong(
            _mask_as_length,
            "The mask is taken for a length, as if padding always stood behind. Some tokenizers "
            "pad in front: multiply by the mask, position by position.",
        ),
        KnownWrong(
            _not_guarded,
            "A text without tokens gives 0/0, which is NaN: divide by at least 1.",
        ),
    ),
    hints=(
        "What are the shapes of output[0], of output[0][0], and of what you want?",
        "mask[:, :, None] has shape (texts, time, 1): multiply the states by it.",
        "Divide the sum over time by the number of real tokens of each text, at least 1.",
    ),
    notice="Nothing warns of output[0][0]: with one text in the batch its first axis is even gone, "
    "and a mean over tokens looks like features. Say the shape aloud before you store it.",
)
