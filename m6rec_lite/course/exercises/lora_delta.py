"""Exercise ``lora_delta``: what LoRA adds to a matrix."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

_A = np.array([[1.0, 0.0, 2.0]])  # (1, 3)
_B = np.array([[1.0], [-1.0]])  # (2, 1)
_A2 = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])  # (2, 3)
_B2 = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])  # (4, 2)
_SQUARE = np.array([[1.0, 2.0], [0.0, 1.0]])

EXERCISE = Exercise(
    id="lora_delta",
    title="What LoRA adds to a matrix",
    cases=(
        Case((_A, _B, 2.0), np.array([[2.0, 0.0, 4.0], [-2.0, 0.0, -4.0]]), note="rank 1"),
        Case(
            (_A2, _B2, 4.0),
            2.0 * np.array([[1.0, 2, 0], [2, 5, -1], [0, 3, -3], [1, 3, -1]]),
            note="rank 2: the scale is 4 / 2",
        ),
        Case(
            (_SQUARE, np.array([[1.0, 0.0], [3.0, 1.0]]), 1.0),
            np.array([[0.5, 1.0], [1.5, 3.5]]),
            note="square matrices: the order matters",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda a, b, alpha: alpha * b @ a,
            "The scale is alpha / r, with r the number of rows of A: with another rank the same "
            "learning rate should do.",
        ),
        KnownWrong(
            lambda a, b, alpha: b @ a,
            "The scale alpha / r is missing.",
        ),
        KnownWrong(
            lambda a, b, alpha: alpha / a.shape[1] * b @ a,
            "r is the rank, the number of *rows* of A; its columns are the inputs.",
        ),
        KnownWrong(
            lambda a, b, alpha: alpha / len(b) * b @ a,
            "r is the rank, the number of columns of B; its rows are the outputs.",
        ),
        KnownWrong(
            lambda a, b, alpha: (alpha / len(a) * b @ a).T,
            "That is transposed: the matrix W maps x to W x, so its shape is (out, in).",
        ),
        KnownWrong(
            lambda a, b, alpha: alpha / len(a) * a @ b,
            "The order: B A, not A B. x meets A first.",
        ),
    ),
    hints=(
        "x of length `in` meets A, (r, in), first, and then B, (out, r).",
        "The product has the shape of W, (out, in).",
        "alpha / len(a) is the scale.",
    ),
    notice="Merged, the model has as many weights as before, and one matrix product less than "
    "LoRA in two parts: that is why it can be served at no further cost.",
)
