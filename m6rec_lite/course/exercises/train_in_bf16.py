"""Exercise ``train_in_bf16``: fix a run that diverges in bf16."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def bf16(x: np.ndarray) -> np.ndarray:
    """Numbers as bfloat16 holds them, in float32: to the nearest, ties to the even."""
    bits = np.atleast_1d(np.asarray(x, dtype=np.float32)).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32).reshape(np.shape(x))


def _train(
    w: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    lr: float,
    steps: int,
    *,
    cut_x: bool = False,
    cut_weights: bool = False,
    one_pass: bool = False,
    ddof: int = 0,
    eps: float = 1e-5,
    summed: bool = False,
    cut_h: bool = True,
    cut_w: bool = True,
    axis: int = 1,
) -> np.ndarray:
    """The right answer; what is behind the star makes the known mistakes."""
    w, x = np.asarray(w, dtype=np.float32), np.asarray(x, dtype=np.float32)
    if cut_x:
        x = bf16(x)
    if cut_weights:
        w = bf16(w)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            mean = x.mean(axis=axis, keepdims=True)
            if one_pass:
                mean = bf16(mean)
                spread = bf16(bf16((x * x).mean(axis=1, keepdims=True)) - bf16(mean**2))
            else:
                spread = x.var(axis=axis, keepdims=True, ddof=ddof)
            h = (x - mean) / np.sqrt(spread + eps)
            h = bf16(h) if cut_h else h
            error = h @ (bf16(w) if cut_w else w) - y
            slope = h.T @ error / (1 if summed else len(y))
            w = bf16(w - bf16(lr * slope)) if cut_weights else w - lr * slope
    return w


def _as_found(w: np.ndarray, x: np.ndarray, y: np.ndarray, lr: float, steps: int) -> np.ndarray:
    return _train(w, x, y, lr, steps, cut_x=True, cut_weights=True, one_pass=True)


def kelvin(rows: int = 32, columns: int = 4, seed: int = 0) -> tuple:
    """Weights, temperatures, and what is predicted from them."""
    draw = np.random.default_rng(seed)
    x = (290 + 5 * draw.normal(size=(rows, columns))).astype(np.float32)
    h = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    y = (h @ np.array([1.3, 0.7, 1.4, 0.6], dtype=np.float32)).astype(np.float32)
    return np.ones(columns, dtype=np.float32), x, y


def _cases() -> tuple[Case, ...]:
    cases = []
    for lr, steps, seed in ((0.003, 400, 0), (0.003, 800, 0), (0.003, 800, 1)):
        args = (*kelvin(seed=seed), lr, steps)
        cases.append(Case(args, _train(*args), note=f"{steps} steps"))
    weights, x, y = kelvin()
    even = (*(weights, (x - 290) / 1000, y), 0.003, 100)
    cases.append(Case(even, _train(*even), note="rows whose variance is near 1e-5"))
    return tuple(cases)


EXERCISE = Exercise(
    id="train_in_bf16",
    title="Fix a run that diverges in bf16",
    data={"bf16": bf16, "kelvin": kelvin},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _as_found,
            "Still unchanged: mean(x^2) - mean(x)^2 is a difference of two numbers near "
            "84,000, of which bf16 knows every 512th. Take the variance from the deviations.",
        ),
        KnownWrong(
            lambda *a: _train(*a, cut_weights=True),
            "The variance is right now, and the weights do not move: updates are smaller than half "
            "the step between two numbers of bf16. Keep the weights in float32.",
        ),
        KnownWrong(
            lambda *a: _train(*a, cut_x=True),
            "The temperatures are cut to 16 bits before their mean is taken off: near 290 bf16 "
            "knows even numbers only. Cut what comes *out* of the norm.",
        ),
        KnownWrong(
            lambda *a: _train(*a, ddof=1),
            "The variance is divided by n - 1. A norm divides by n, as `x.var()` of numpy does and "
            "that of torch does not.",
        ),
        KnownWrong(
            lambda *a: _train(*a, summed=True),
            "The slope is summed over the rows: divide by their number.",
        ),
        KnownWrong(
            lambda *a: _train(*a, cut_h=False, cut_w=False),
            "All of it is in float32: nothing is gained. Round both factors of the product, "
            "bf16(h) @ bf16(w); the weights themselves stay as they are.",
        ),
        KnownWrong(
            lambda *a: _train(*a, cut_h=False),
            "`h` goes into the product in float32: round it, once it is normed.",
        ),
        KnownWrong(
            lambda *a: _train(*a, cut_w=False),
            "`w` goes into the product in float32: round a copy there, bf16(w), and keep w itself.",
        ),
        KnownWrong(
            lambda *a: _train(*a, eps=0.0),
            "The 1e-5 under the root is lost: a norm adds it to the variance, so that a row of "
            "equal numbers is not divided by 0.",
        ),
        KnownWrong(
            lambda w, x, y, lr, steps: _train(w, x, y, lr, steps - 1),
            "One step is missing: range(steps) takes them all.",
        ),
        KnownWrong(
            lambda w, x, y, lr, steps: _train(w, x, y, 2 * lr, steps),
            "The slope is twice too large: it is h' error / n, without a 2.",
        ),
        KnownWrong(
            lambda *a: _train(*a, axis=0),
            "The norm runs over the columns. Each *row* gets mean 0 and variance 1: axis=1.",
        ),
    ),
    hints=(
        "Print the variance of the first step. Can it be 0, or negative?",
        "apart = x - x.mean(axis=1, keepdims=True), in float32; the variance is its mean square.",
        "Only the two factors of the product h @ w need be cut: bf16(h) @ bf16(w), and w itself "
        "stays as it is.",
    ),
    tolerance=7e-5,
    notice="Two different faults. The first makes a noise, NaN; the second none: the loss just "
    "stands. autocast keeps weights, sums and losses in float32 for both reasons.",
)
