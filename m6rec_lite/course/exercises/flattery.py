"""Exercise ``flattery``: predict how much the best of 32 flatters, then measure it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Answer = Callable[[np.ndarray, np.ndarray], float]


def _chosen(first: np.ndarray, best: np.ndarray) -> np.ndarray:
    """``(experiments,)`` mean of the model ``best`` of each experiment."""
    return first.mean(axis=2)[np.arange(len(first)), best]


def _flattery(first: np.ndarray, second: np.ndarray) -> float:
    """The right answer."""
    best = first.mean(axis=2).argmax(axis=1)
    return float((_chosen(first, best) - _chosen(second, best)).mean())


def _other_choice(first: np.ndarray, second: np.ndarray) -> float:
    best = second.mean(axis=2).argmax(axis=1)
    return float((_chosen(first, best) - _chosen(second, best)).mean())


def _both_best(first: np.ndarray, second: np.ndarray) -> float:
    return float((first.mean(axis=2).max(axis=1) - second.mean(axis=2).max(axis=1)).mean())


def _one_for_all(first: np.ndarray, second: np.ndarray) -> float:
    best = np.full(len(first), first.mean(axis=(0, 2)).argmax())
    return float((_chosen(first, best) - _chosen(second, best)).mean())


def _ratio(first: np.ndarray, second: np.ndarray) -> float:
    best = first.mean(axis=2).argmax(axis=1)
    return float(_chosen(first, best).mean() / _chosen(second, best).mean() - 1)


def _hits(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hits of equally good models, on two halves of the questions."""
    first, second = (np.random.default_rng(seed).random((2, *shape)) < 0.2).astype(float)
    return first, second


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(0)
    graded = rng.random((2, 7, 3, 10)).round(2)
    rows = (
        (*graded, "seven experiments, three models, ten users"),
        (*_hits((30, 8, 20), 1), "eight equally good models"),
        (*_hits((20, 1, 50), 2), "one model: nothing is chosen"),
        (graded[0] + np.arange(3)[:, None], graded[1] + np.arange(3)[:, None],
         "one model is much better"),
    )  # fmt: skip
    return tuple(
        Case((first, second), _flattery(first, second), note=note) for first, second, note in rows
    )


EXERCISE = OpenExercise(
    id="flattery",
    title="How much does the best of 32 flatter?",
    cases=_cases,
    measured=lambda answer: float(answer(*_hits((300, 32, 100), 3))),
    example=0.02,
    known_wrong=(
        KnownWrong(
            _other_choice,
            "The model is chosen on the second half. Then the second half is what it flatters.",
        ),
        KnownWrong(
            _both_best,
            "A new model is chosen on the second half. Follow the one that was chosen.",
        ),
        KnownWrong(
            lambda a, b: float((a.mean(axis=2).max(axis=1) - b.mean(axis=(1, 2))).mean()),
            "The best is compared with the mean of all models, not with itself on other questions.",
        ),
        KnownWrong(
            lambda a, b: float((a - b).mean()),
            "Nothing is chosen: that is the difference of the halves for all models.",
        ),
        KnownWrong(
            _one_for_all,
            "One model is chosen for all experiments. Each experiment chooses its own.",
        ),
        KnownWrong(
            lambda a, b: -_flattery(a, b),
            "The sign is turned: on its own questions less on the fresh ones.",
        ),
        KnownWrong(
            _ratio,
            "That is the relative gain. Wanted is the difference, in hit rate.",
        ),
        KnownWrong(
            lambda a, b: float((a.max(axis=1) - b.max(axis=1)).mean()),
            "The best model is taken for each user. One model is chosen for all users.",
        ),
    ),
    hints=(
        "first.mean(axis=2) has one number for each experiment and model.",
        "argmax(axis=1) chooses in each experiment; index both halves with it.",
        "rows = np.arange(len(first)); (a[rows, best] - b[rows, best]).mean()",
    ),
    notice="A standard error of 100 users is sqrt(.2 * .8 / 100) = .04, and the best of 32 is "
    "about two of them above the truth: .2 is reported as .28.",
)
