"""Exercises of chapter 07: vectors under a mask, a gate with a missing part, what is asked."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.checks.autoencoder import RECONSTRUCTION
from m6rec_lite.course.checks.masked_words import HIDE, MASKED_LOSS
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 07.3 Error hunt: model(x)[0][0]

Output = tuple[np.ndarray, np.ndarray]


def _vectors(output: Output, mask: np.ndarray) -> np.ndarray:
    """The mean under the mask: (texts, d)."""
    real = np.asarray(mask)[:, :, None].astype(float)
    return (output[0] * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)


def _text_by_text(output: Output, mask: np.ndarray) -> list[np.ndarray]:
    zero = np.zeros(output[0].shape[2])
    rows = zip(output[0], np.asarray(mask).astype(bool), strict=True)
    return [states[real].mean(axis=0) if real.any() else zero for states, real in rows]


def _sum_over_places(output: Output, mask: np.ndarray) -> np.ndarray:
    return (output[0] * np.asarray(mask)[:, :, None]).mean(axis=1)


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

SENTENCE_VECTORS = Exercise(
    id="07.3",
    title="model(x)[0][0]",
    answer="sentence_vectors",
    cases=(
        Case(args=(_OUTPUT, _MASK), wanted=_MEANS, note="three texts of four, two and one token"),
        Case(
            args=((_STATES[1:2, :2], _POOLED[1:2]), _MASK[1:2, :2]),
            wanted=_MEANS[1:2],
            note="the second text alone, unpadded",
        ),
        Case(
            args=((_STATES[:2], _POOLED[:2]), np.array([[1, 1, 1, 1], [0, 0, 0, 0]])),
            wanted=[[3.0, 3.0], [0.0, 0.0]],
            note="an empty text",
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
            "training asked it to; here the mean is wanted.",
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
    ),
    correct_alternatives=(_vectors, _text_by_text),
    hints=(
        "What are the shapes of output[0], of output[0][0], and of what you want?",
        "mask[:, :, None] has shape (texts, time, 1): multiply the states by it.",
        "Divide the sum over time by the number of real tokens of each text, at least 1.",
    ),
    notice="Nothing warns of output[0][0]: with one text in the batch its first axis is even gone, "
    "and a mean over tokens looks like features. Say the shape aloud before you store it.",
)


# 07.4 A gate, and a part that is missing

Gate = tuple[np.ndarray, ...]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _gated(title, description, there, W, c, decide=_sigmoid, blank=0.0) -> np.ndarray:
    """The right answer; with another way to decide, a wrong one."""
    description = np.where(there[:, None], description, blank)
    g = decide(np.concatenate([title, description], axis=1) @ W + c)
    return np.where(there[:, None], g * title + (1 - g) * description, title)


def _row_by_row(title, description, there, W, c) -> np.ndarray:
    rows = []
    for t, d, has in zip(title, description, there, strict=True):
        g = _sigmoid(np.hstack([t, d]) @ W + c) if has else 1.0
        rows.append(g * t + (1 - g) * d if has else t)
    return np.stack(rows)


def _missing_as_zero(title, description, there, W, c) -> np.ndarray:
    description = np.where(there[:, None], description, 0.0)
    g = _sigmoid(np.concatenate([title, description], axis=1) @ W + c)
    return g * title + (1 - g) * description


def _unmasked(title, description, there, W, c) -> np.ndarray:
    g = _sigmoid(np.concatenate([title, description], axis=1) @ W + c)
    return g * title + (1 - g) * description


def _turned(title, description, there, W, c) -> np.ndarray:
    return np.where(
        there[:, None],
        title
        + np.where(there[:, None], description, 0.0)
        - _gated(title, description, there, W, c),
        title,
    )


def _softmax(x: np.ndarray) -> np.ndarray:
    grown = np.exp(x - x.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def _dropped(title, description, there, W, c) -> np.ndarray:
    return _gated(title, description, there, W, c)[there]


_TITLE = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, -1.0]])
_DESCRIPTION = np.array([[-1.0, 4.0], [2.0, 2.0], [np.nan, np.nan]])
_THERE = np.array([True, True, False])
_W = np.array([[1.0, 0.0], [0.0, -1.0], [0.5, 0.0], [0.0, 0.25]])
_C = np.array([0.0, 0.5])


def _gate_cases() -> tuple[Case, ...]:
    certain = np.array([50.0, -50.0])  # the first dimension from the title, the second not
    both, zero = (_TITLE[:2], _DESCRIPTION[:2], _THERE[:2]), np.zeros((4, 2))
    return (
        Case((*both, zero, np.zeros(2)), [[0.0, 2.0], [1.0, 2.0]], note="a gate of one half"),
        Case((*both, zero, certain), [[1.0, 4.0], [0.0, 2.0]], note="a gate that is sure"),
        Case(
            (_TITLE, _DESCRIPTION, _THERE, _W, _C),
            _row_by_row(_TITLE, _DESCRIPTION, _THERE, _W, _C),
            note="the last item has no description",
        ),
    )


GATE = Exercise(
    id="07.4",
    title="A gate, and a part that is missing",
    answer="gated",
    cases=_gate_cases,
    known_wrong=(
        KnownWrong(
            _unmasked,
            "NaN spreads: 0 times NaN is NaN. Put numbers where the description is missing before "
            "anything is multiplied.",
        ),
        KnownWrong(
            _missing_as_zero,
            "A missing description is taken for a vector of zeros, so the gate shrinks the title. "
            "An item without a description is its title, whole.",
        ),
        KnownWrong(
            _turned,
            "The gate is turned round: g weighs the title and 1 - g the description.",
        ),
        KnownWrong(
            lambda *given: _gated(*given, decide=_softmax),
            "A softmax over dimensions makes them compete with each other. Each decides for "
            "itself: a sigmoid.",
        ),
        KnownWrong(
            lambda *given: _gated(*given, decide=lambda x: x),
            "The sigmoid is missing: g must lie between 0 and 1.",
        ),
        KnownWrong(
            lambda title, description, there, W, c: np.where(
                there[:, None], (title + np.nan_to_num(description)) / 2, title
            ),
            "That is the plain mean: the gate is not asked.",
        ),
        KnownWrong(
            _dropped,
            "Items without a description are gone: there is a row for each item.",
        ),
    ),
    correct_alternatives=(_gated, _row_by_row),
    hints=(
        "What shall come out for an item without a description, whatever W and c are?",
        "x = np.concatenate([title, description], axis=1), g = 1 / (1 + np.exp(-(x @ W + c))).",
        "np.where(there[:, None], g * title + (1 - g) * description, title), NaN made 0 before.",
    ),
    notice="Missing is not zero. The package's fusions take a mask for the same reason, and their "
    "tests put NaN where nothing is.",
)


# 07.5 What BERT4Rec is asked


def _question(history: list[int], max_length: int, mask: int) -> list[int]:
    return [*history[max(0, len(history) - max_length + 1) :], mask]


QUESTION = Exercise(
    id="07.5",
    title="What BERT4Rec is asked",
    answer="question",
    cases=(
        Case(([3, 14, 15], 10, 99), [3, 14, 15, 99]),
        Case(([3, 14, 15, 9, 2, 6], 4, 99), [9, 2, 6, 99], note="longer than max_length"),
        Case(([3, 14, 15], 3, 99), [14, 15, 99], note="as long as max_length"),
        Case(([], 5, 99), [99], note="an empty history"),
    ),
    known_wrong=(
        KnownWrong(
            lambda history, max_length, mask: history[-max_length:],
            "Nothing is asked: the mask is missing. Its place is where the next item will stand.",
        ),
        KnownWrong(
            lambda history, max_length, mask: [*history[-max_length:], mask],
            "That is one token too long: the network has max_length positions, the mask included.",
        ),
        KnownWrong(
            lambda history, max_length, mask: [*history[:-1][-(max_length - 1) :], mask],
            "The mask replaces the last item. At test that item is known, and it is the best clue: "
            "put the mask behind it.",
        ),
        KnownWrong(
            lambda history, max_length, mask: [*history[: max_length - 1], mask],
            "A long history is cut to its oldest items. Keep the latest.",
        ),
        KnownWrong(
            lambda history, max_length, mask: _question(history, max_length, mask)[::-1],
            "The order is reversed: the mask stands behind the latest item.",
        ),
        KnownWrong(
            lambda history, max_length, mask: (
                [mask] * (max_length - len(_question(history, max_length, mask)))
                + _question(history, max_length, mask)
            ),
            "The row is filled up with masks. Each is a question, and says that an item is hidden "
            "there; filling needs a token of its own, or none.",
        ),
    ),
    correct_alternatives=(
        _question,
        lambda history, max_length, mask: np.array(_question(history, max_length, mask)),
    ),
    hints=(
        "Where will the next item stand, and what may stand there now?",
        "With the mask the row has at most max_length tokens.",
        "Mind max_length = 1 and an empty history: history[-0:] is all of it.",
    ),
    notice="In training most masks have neighbours on both sides; this one has none to its right. "
    "That is why a share of the training rows should hide the last item alone.",
)


EXERCISES = (HIDE, MASKED_LOSS, SENTENCE_VECTORS, GATE, QUESTION, RECONSTRUCTION)
