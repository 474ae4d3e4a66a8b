"""Exercise ``option_probs``: soft prompts as the weights of classes."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def _probs(states: np.ndarray, prompt: np.ndarray, classes: int) -> np.ndarray:
    return _softmax(states @ prompt[-classes:].T)


def _cosine(states: np.ndarray, prompt: np.ndarray, classes: int) -> np.ndarray:
    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    return _softmax(unit(states) @ unit(prompt[-classes:]).T)


_PROMPT = np.array([[5.0, 5.0], [-1.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
_STATES = np.array([[np.log(3.0), 0.0], [0.5, 2.0], [-1.0, 0.3]])

EXERCISE = Exercise(
    id="option_probs",
    title="Soft prompts as the weights of classes",
    cases=(
        Case((_STATES[:1], _PROMPT, 2), np.array([[0.75, 0.25]]), note="on paper: e^ln 3 = 3"),
        Case((_STATES, _PROMPT, 2), _probs(_STATES, _PROMPT, 2)),
        Case((_STATES, _PROMPT, 3), _probs(_STATES, _PROMPT, 3), note="three options"),
    ),
    known_wrong=(
        KnownWrong(
            lambda s, p, c: _softmax(s @ p[:c].T),
            "Those are the first vectors of the prompt; the options are its *last* C.",
        ),
        KnownWrong(
            lambda s, p, c: _softmax(s @ p.T)[:, -c:],
            "The softmax runs over the whole prompt, so the options do not sum to 1. Take them "
            "first.",
        ),
        KnownWrong(
            lambda s, p, c: s @ p[-c:].T,
            "Those are logits: the softmax is missing.",
        ),
        KnownWrong(
            lambda s, p, c: _softmax(s @ p[-c:].T, axis=0),
            "The softmax runs over the rows of the batch: each *row* must sum to 1.",
        ),
        KnownWrong(
            lambda s, p, c: 1 / (1 + np.exp(-(s @ p[-c:].T))),
            "A sigmoid for each option: they would not sum to 1. Exactly one class is right.",
        ),
        KnownWrong(
            _cosine,
            "The vectors are scaled to length 1. Here the plain product counts: a longer option is "
            "a surer one.",
        ),
        KnownWrong(
            lambda s, p, c: _softmax(s @ p[-c:][::-1].T),
            "The options are in the reverse order: the first of the last C is class 0.",
        ),
    ),
    hints=(
        "prompt[-classes:] are the options, (C, d).",
        "states @ options.T are the logits, (N, C).",
        "A softmax over the last axis.",
    ),
    notice="The same vectors are read as input and used as output: no head, and no weight that "
    "the model has not seen.",
)
