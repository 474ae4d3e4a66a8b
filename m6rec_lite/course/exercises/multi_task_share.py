"""Open exercise ``multi_task_share``: a weight before a summed loss, and larger batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

#: Rows of a batch at which alpha was chosen, and the larger batch.
FEW, MANY = 16, 256

Share = Callable[[np.ndarray, np.ndarray, np.ndarray, float], float]


def rows(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features ``(n, 4)``, clicks and ratings ``(n,)``; the first rows are always equal."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(MANY, 4))
    x[:, 0] = 1.0
    clicked = (x @ [0.2, 1.0, -0.5, 0.0] + draw.logistic(size=MANY) > 0).astype(float)
    stars = x @ [0.3, -0.2, 0.4, 0.1] + draw.normal(size=MANY)
    return x[:n], clicked[:n], stars[:n]


def _share(
    *,
    mt_mean: bool = False,
    two: bool = True,
    weight: bool = True,
    length: Callable[[np.ndarray], float] = np.linalg.norm,  # type: ignore[assignment]
) -> Share:
    """Return the share with some of the usual mistakes."""

    def share(x: np.ndarray, clicked: np.ndarray, stars: np.ndarray, alpha: float) -> float:
        n = len(x)
        multi_task = x.T @ (0.5 - clicked) / (n if mt_mean else 1)
        finetune = -(2 if two else 1) * x.T @ stars / n
        first, second = (alpha if weight else 1.0) * length(multi_task), length(finetune)
        return float(first / (first + second))

    return share


def _ratio(x: np.ndarray, clicked: np.ndarray, stars: np.ndarray, alpha: float) -> float:
    share = _share()(x, clicked, stars, alpha)
    return share / (1 - share)


def _of_losses(x: np.ndarray, clicked: np.ndarray, stars: np.ndarray, alpha: float) -> float:
    first, second = alpha * len(x) * np.log(2), float(np.mean(stars**2))
    return first / (first + second)


def _cases() -> tuple[Case, ...]:
    one = np.array([[3.0, 4.0]]), np.array([1.0]), np.array([0.5])
    settings: list[tuple[Any, float, str]] = [
        (one, 1.0, "one row: the gradients are 2.5 and 5 long"),
        (rows(FEW), 1 / FEW, f"{FEW} rows"),
        (rows(MANY), 1 / FEW, f"{MANY} rows"),
        (rows(40), 0.5, "40 rows, another alpha"),
    ]
    right: Callable[..., float] = _share()
    return tuple(Case((*of, a), right(*of, a), note=note) for of, a, note in settings)


EXERCISE = OpenExercise(
    id="multi_task_share",
    title="Predict and measure: a sum beside a mean",
    data={"rows": rows},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _share(mt_mean=True),
            "Both losses have the same reduction here, two means or two sums, and the number of "
            "rows cancels. Measure them as they were found: the first a sum, the second a mean.",
        ),
        KnownWrong(
            _share(two=False),
            "The gradient of a squared error has a factor of 2: -2 x (y - x w).",
        ),
        KnownWrong(_share(weight=False), "alpha is missing: it multiplies the multi-task loss."),
        KnownWrong(
            _share(length=lambda g: float(g @ g)),
            "Those are squared lengths; take the root (np.linalg.norm).",
        ),
        KnownWrong(
            _ratio,
            "That is one length divided by the other. The share is the first divided by the sum "
            "of both.",
        ),
        KnownWrong(
            _of_losses,
            "Those are the shares of the losses. A step follows their gradients.",
        ),
    ),
    hints=(
        "At w = 0 every probability is one half, and every predicted rating is 0.",
        "Gradients: x.T @ (0.5 - clicked) of the sum, and -2 * x.T @ stars / n of the mean.",
        "np.linalg.norm is the length; alpha times the first, divided by the total.",
    ),
    notice="alpha is the same, and the loss is another one: with a sum, the size of the batch is "
    "a part of the weight. With two means it is not; then alpha can be kept.",
    measured=lambda answer: float(answer(*rows(MANY), 1 / FEW)),
    example=0.9,
)
