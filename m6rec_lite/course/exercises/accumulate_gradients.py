"""Exercise ``accumulate_gradients``: a mean of means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Gradients = Sequence[np.ndarray]


def _weighed_sum(gradients: Gradients, counts: Sequence[int]) -> np.ndarray:
    return sum(n * g for g, n in zip(gradients, counts, strict=True))


EXERCISE = Exercise(
    id="accumulate_gradients",
    title="A mean of means",
    cases=(
        Case(([np.array([2.0]), np.array([6.0])], [3, 1]), [3.0], note="the chapter's"),
        Case(
            ([np.array([1.0, -1.0]), np.array([4.0, 0.0]), np.array([0.0, 2.0])], [5, 1, 2]),
            [9 / 8, -1 / 8],
            note="three",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda gradients, counts: np.mean(np.stack(gradients), axis=0),
            "A mean of means: a part with one token has as much say as one with a hundred.",
        ),
        KnownWrong(
            lambda gradients, counts: np.sum(np.stack(gradients), axis=0),
            "The parts' means are added: the step grows with the number of parts.",
        ),
        KnownWrong(
            _weighed_sum,
            "Weighed, and not divided by the number of tokens: the step grows with the batch.",
        ),
        KnownWrong(
            lambda gradients, counts: _weighed_sum(gradients, counts) / len(gradients),
            "Weighed by tokens, and divided by the number of parts: divide by the tokens of all.",
        ),
        KnownWrong(
            lambda gradients, counts: (
                sum(g / n for g, n in zip(gradients, counts, strict=True))
                / sum(1 / n for n in counts)
            ),
            "The weights are turned round: a part with *more* tokens counts more.",
        ),
    ),
    hints=(
        "Each gradient is a mean over its part's tokens. What is the sum over them?",
        "Add the sums, count * gradient, and divide once, by all tokens.",
        "np.average(gradients, axis=0, weights=counts).",
    ),
    notice="With parts of one size both agree, which is how the slip survives its first test. In "
    "2024 it was found in several libraries' language-model training.",
)
