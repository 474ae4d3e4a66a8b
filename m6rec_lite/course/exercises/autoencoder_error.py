"""Exercise ``autoencoder_error``: correct the evaluation of an autoencoder."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Weights = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _rebuilt(weights: Weights, x: np.ndarray, last: str = "sigmoid", hidden: bool = True):
    w1, b1, w2, b2 = weights
    h = x @ w1 + b1
    z = (np.maximum(h, 0) if hidden else h) @ w2 + b2
    if last == "relu":
        return np.maximum(z, 0)
    if last == "softmax":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return 1 / (1 + np.exp(-z))


def _error(
    weights: Weights,
    train: np.ndarray,
    test: np.ndarray,
    *,
    scale: float = 16.0,
    last: str = "sigmoid",
    hidden: bool = True,
    on: str = "test",
    kind: str = "squared",
) -> float:
    """The right answer; what is behind the star makes the known mistakes."""
    pictures = np.concatenate([train, test]) if on == "both" else train if on == "train" else test
    x = pictures.reshape(len(pictures), -1) / scale
    out = _rebuilt(weights, x, last, hidden)
    if kind == "absolute":
        return float(np.abs(out - x).mean())
    if kind == "sum":
        return float(((out - x) ** 2).sum(axis=1).mean())
    if kind == "classes":
        e = out - out.max(axis=1, keepdims=True)
        logs = e - np.log(np.exp(e).sum(axis=1, keepdims=True))
        return float(-(x * logs).sum(axis=1).mean())
    return float(((out - x) ** 2).mean())


def digits(n: int, side: int, hidden: int, seed: int) -> tuple[Weights, np.ndarray, np.ndarray]:
    """Weights of a small network, and training and test pictures of numbers from 0 to 16."""
    draw = np.random.default_rng(seed)
    pictures = draw.integers(0, 17, (2 * n, side, side))
    pictures[n:] //= 2  # the test pictures are darker
    size = side * side
    weights = (
        draw.normal(0, 0.5, (size, hidden)).round(2),
        draw.normal(0, 0.3, hidden).round(2),
        draw.normal(0, 0.5, (hidden, size)).round(2),
        draw.normal(0, 0.3, size).round(2),
    )
    return weights, pictures[:n], pictures[n:]


def _cases() -> tuple[Case, ...]:
    rows = (
        (digits(2, 2, 2, 0), "pictures of 2 x 2 pixels"),
        (digits(5, 8, 6, 1), "five pictures of 8 x 8"),
        (digits(3, 4, 3, 2), "pictures of 4 x 4"),
    )
    return tuple(Case(args, _error(*args), note=note) for args, note in rows)


EXERCISE = Exercise(
    id="autoencoder_error",
    title="Correct the evaluation of an autoencoder",
    cases=_cases,
    data={"digits": digits},
    known_wrong=(
        KnownWrong(
            lambda *a: _error(*a, on="train"),
            "That is the error on the training pictures: a network that learns them by heart has "
            "an error of 0 there. Evaluate on the test pictures.",
        ),
        KnownWrong(
            lambda *a: _error(*a, on="both"),
            "Training and test pictures are mixed. Evaluate on the test pictures alone.",
        ),
        KnownWrong(
            lambda *a: _error(*a, last="relu"),
            "The last layer is a ReLU. It has no upper bound, and no gradient where it is 0; "
            "pixels between 0 and 1 need a sigmoid.",
        ),
        KnownWrong(
            lambda *a: _error(*a, last="softmax"),
            "A softmax makes the pixels of a picture sum to 1, as if one of them were the right "
            "class. Each pixel has its own sigmoid.",
        ),
        KnownWrong(
            lambda *a: _error(*a, last="relu", kind="classes"),
            "That is a cross-entropy of classes. The pixels are brightnesses: take the squared "
            "difference.",
        ),
        KnownWrong(
            lambda *a: _error(*a, scale=1.0),
            "The brightness goes from 0 to 16, and the sigmoid from 0 to 1: divide by 16.",
        ),
        KnownWrong(
            lambda *a: _error(*a, scale=255.0),
            "These pictures go from 0 to 16, not to 255.",
        ),
        KnownWrong(
            lambda *a: _error(*a, kind="sum"),
            "The error is summed over the pixels of a picture, so it grows with its size. Take the "
            "mean over pixels and pictures.",
        ),
        KnownWrong(
            lambda *a: _error(*a, kind="absolute"),
            "The differences are not squared: that is the mean absolute error.",
        ),
        KnownWrong(
            lambda *a: _error(*a, hidden=False),
            "The hidden layer has no ReLU: two linear maps in a row are one.",
        ),
    ),
    hints=(
        "x = test.reshape(len(test), -1) / 16 flattens the pictures and scales them.",
        "The hidden layer keeps its ReLU; the last layer is 1 / (1 + exp(-z)).",
        "((out - x) ** 2).mean() is the mean over pixels and pictures.",
    ),
    notice="None of the four faults raises an error except the missing flatten. That is why each "
    "needs a number: the mean picture of the training set is the rival that any autoencoder must "
    "beat.",
)
