"""Open exercise ``draw_spread``: how much a few-shot result depends on the draw of examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Data = tuple[np.ndarray, np.ndarray]
Spread = Callable[[np.ndarray, np.ndarray, Sequence[np.ndarray], Data], tuple[float, float]]

FEW, MANY, DRAWS = 16, 256, 40


def _world() -> tuple[np.ndarray, np.ndarray]:
    """Return 2,400 states ``(n, 12)`` and labels; each dimension says a little of the label."""
    draw = np.random.default_rng(1)
    y = draw.permutation(np.arange(2400) % 2)
    return draw.normal(size=(2400, 12)) + 0.25 * (2 * y[:, None] - 1), y


_X, _Y = _world()
TRAIN, TEST = (_X[:2000], _Y[:2000]), (_X[2000:], _Y[2000:])


def draws(k: int) -> list[np.ndarray]:
    """Return the rows of ``DRAWS`` draws of k examples, half of them of each class."""
    found = []
    for seed in range(DRAWS):
        draw = np.random.default_rng(seed)
        halves = [draw.permutation(np.flatnonzero(TRAIN[1] == c))[: k // 2] for c in (0, 1)]
        found.append(np.concatenate(halves))
    return found


def _auc(y: np.ndarray, scores: np.ndarray) -> float:
    first, second = scores[y == 1][:, None], scores[y == 0][None, :]
    return float(((first > second) + (first == second) / 2).mean())


def _aucs(x: np.ndarray, y: np.ndarray, rows: Sequence[np.ndarray], test: Data) -> np.ndarray:
    """Return the AUC of the difference of means of each draw."""
    found = []
    for index in rows:
        of, labels = x[index], y[index]
        direction = of[labels == 1].mean(axis=0) - of[labels == 0].mean(axis=0)
        found.append(_auc(test[1], test[0] @ direction))
    return np.array(found)


def _spread(
    summarize: Callable[[np.ndarray], float], mean: Callable[[np.ndarray], float] = np.mean
) -> Spread:
    """Return mean and spread, with another form of either."""

    def spread(
        x: np.ndarray, y: np.ndarray, rows: Sequence[np.ndarray], test: Data
    ) -> tuple[float, float]:
        values = _aucs(x, y, rows, test)
        return float(mean(values)), float(summarize(values))

    return spread


def _deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1))


def _on_its_own_rows(
    x: np.ndarray, y: np.ndarray, rows: Sequence[np.ndarray], test: Data
) -> tuple[float, float]:
    values = np.array([_aucs(x, y, [i], (x[i], y[i]))[0] for i in rows])
    return float(values.mean()), _deviation(values)


def _reversed(
    x: np.ndarray, y: np.ndarray, rows: Sequence[np.ndarray], test: Data
) -> tuple[float, float]:
    values = 1 - _aucs(x, y, rows, test)
    return float(values.mean()), _deviation(values)


def _cases() -> tuple[Case, ...]:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    small = (x, np.array([1, 0, 1, 0]), [np.array([0, 1]), np.array([2, 3]), np.array([0, 3])])
    test = (np.array([[1.0, 1.0], [0.0, 2.0], [2.0, 2.0]]), np.array([1, 1, 0]))
    settings: tuple[tuple[Any, ...], ...] = (
        (*small, test, "three draws of two rows, and equal scores"),
        (*TRAIN, draws(FEW)[:6], TEST, f"six draws of {FEW} rows"),
        (*TRAIN, draws(64)[:9], TEST, "nine draws of 64 rows"),
    )
    right = _spread(_deviation)
    return tuple(Case((*args,), right(*args), note=note) for *args, note in settings)


EXERCISE = OpenExercise(
    id="draw_spread",
    title="Predict and measure: the draw of a few examples",
    data={"train": TRAIN, "test": TEST, "draws": draws},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _spread(lambda values: float(values.std())),
            "The standard deviation divides by n. From a sample of draws divide by n - 1 (ddof=1).",
        ),
        KnownWrong(
            _spread(lambda values: float(values.std(ddof=1) / np.sqrt(len(values)))),
            "That is the standard error of the mean over the draws. Asked is how far one draw "
            "lies from another: the standard deviation.",
        ),
        KnownWrong(
            _spread(lambda values: float(values.var(ddof=1))),
            "That is the variance; its root is in the unit of the AUC.",
        ),
        KnownWrong(
            _spread(lambda values: float(values.max() - values.min())),
            "That is the range, which grows with the number of draws.",
        ),
        KnownWrong(
            _spread(_deviation, mean=np.max),
            "The best draw is reported in place of the mean: with few examples that is the "
            "mistake this exercise is about.",
        ),
        KnownWrong(
            _on_its_own_rows,
            "Each draw is judged on its own examples. Judge it on the test rows.",
        ),
        KnownWrong(
            _reversed,
            "The direction is turned: mean of the clicked rows less the mean of the others.",
        ),
    ),
    hints=(
        "One AUC for each draw; then np.mean and np.std with ddof=1.",
        "direction = x[i][y[i] == 1].mean(axis=0) - x[i][y[i] == 0].mean(axis=0)",
        "m6rec_lite.evaluation.auc(labels, scores) computes the AUC, ties as one half.",
    ),
    notice="A single draw of 16 examples may lie this far from the mean by chance. A difference "
    "between two methods that is smaller is not shown by one seed each.",
    measured=lambda answer: float(
        answer(*TRAIN, draws(FEW), TEST)[1] / answer(*TRAIN, draws(MANY), TEST)[1]
    ),
    example=4.0,
)
