"""Exercise ``repaired_step``: a training step whose labels are the model's own predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Step = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def _step(labels: str = "answers", sign: float = 1.0, per_row: bool = True) -> Step:
    """Return the step with some of the faults left in."""

    def step(x: np.ndarray, y: np.ndarray, w: np.ndarray, lr: float) -> np.ndarray:
        z = _sigmoid(x @ w)
        y = {"answers": y, "own": z, "own decisions": (z > 0.5).astype(float)}[labels]
        gradient = x.T @ (z - y) / (len(y) if per_row else 1)
        return w - sign * lr * gradient

    return step


def _accepted_only(x: np.ndarray, y: np.ndarray, w: np.ndarray, lr: float) -> np.ndarray:
    return w - lr * x.T @ (y * (_sigmoid(x @ w) - y)) / len(y)


def _squared_error(x: np.ndarray, y: np.ndarray, w: np.ndarray, lr: float) -> np.ndarray:
    z = _sigmoid(x @ w)
    return w - lr * x.T @ ((z - y) * z * (1 - z)) / len(y)


def _cases() -> tuple[Case, ...]:
    three = [[1.0, 0.5], [1.0, -2.0], [1.0, 1.0]]
    rows = (
        (three, [1, 0, 0], [0.3, -1.0], 0.5, "one of three accepted"),
        (three, [1, 0, 0], [0.0, 0.0], 1.0, "before the first step: every z is .5"),
        (three, [0, 0, 0], [-1.0, 0.25], 0.1, "nothing accepted"),
        ([[1.0, 3.0], [1.0, -1.0]], [0, 1], [0.5, 1.0], 0.2, "the model is sure, and wrong"),
    )
    arrays = [(np.array(x), np.array(y, float), np.array(w), lr, n) for x, y, w, lr, n in rows]
    return tuple(Case((x, y, w, lr), _step()(x, y, w, lr), note=n) for x, y, w, lr, n in arrays)


EXERCISE = Exercise(
    id="repaired_step",
    title="Error hunt: a model that is trained on its own predictions",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _step("own"),
            "The weights stand still: the labels are the model's own z, and the gradient x (z - z) "
            "is exactly zero, whatever the weights. The labels are the shoppers' answers y.",
        ),
        KnownWrong(
            _step("own decisions"),
            "The labels are the model's own decisions, z > .5. They move the weights, to where the "
            "model is surer of what it believed: no answer of a shopper enters.",
        ),
        KnownWrong(
            _step(sign=-1.0),
            "The step climbs: the gradient of a loss points to a higher loss, so it is subtracted.",
        ),
        KnownWrong(
            _step(per_row=False),
            "That is the gradient of the sum. The loss is a mean over the rows, as in the printed "
            "step: divide by their number.",
        ),
        KnownWrong(
            _accepted_only,
            "Only accepted rows move the weights, so every z only rises. A refused row has the "
            "gradient x z.",
        ),
        KnownWrong(
            _squared_error,
            "That is the gradient of the squared error: z (1 - z) belongs to it. With the loss of "
            "f it cancels, and x (z - y) is left.",
        ),
        KnownWrong(
            lambda x, y, w, lr: w - lr * x.T @ (x @ w - y) / len(y),
            "The prediction is not a probability: z is the sigmoid of x w.",
        ),
        KnownWrong(
            lambda x, y, w, lr: w - x.T @ (_sigmoid(x @ w) - y) / len(y),
            "The learning rate `lr` is missing: the step has the length of the gradient.",
        ),
    ),
    hints=(
        "Print the gradient of the step as it stands, for any weights.",
        "Which line gives y another meaning?",
        "w - lr * x.T @ (z - y) / len(y), with the y that was handed over.",
    ),
    notice="A loss that does not move is not a sign that training has converged: look at the "
    "gradient, and at where the labels come from.",
)
