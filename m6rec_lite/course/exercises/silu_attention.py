"""Exercise ``silu_attention``: the attention of HSTU, without a softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Attention = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def _silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def _answer(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    """The right answer."""
    return np.tril(_silu(q @ k.T + bias)) @ v / n


def _softmax(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    scores = np.where(np.tri(len(q)) > 0, q @ k.T + bias, -np.inf)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True) @ v


def _sigmoid(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    return np.tril(1 / (1 + np.exp(-(q @ k.T + bias)))) @ v / n


def _scaled(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    return np.tril(_silu(q @ k.T / np.sqrt(q.shape[1]) + bias)) @ v / n


def _late(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    return np.tril(_silu(q @ k.T) + bias) @ v / n


def _mean(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    return _answer(q, k, v, bias, n) * n / np.arange(1, len(q) + 1)[:, None]


def _cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(0)

    def rows(t: int, d: int) -> list[np.ndarray]:
        return [draw.normal(size=(t, d)) for _ in range(3)]

    parts: tuple[tuple[Any, ...], ...] = (
        (*rows(4, 3), draw.normal(size=(4, 4)), 10, "four events, a bias"),
        (*rows(5, 2), np.zeros((5, 5)), 5, "five events, no bias"),
        (*rows(1, 2), np.ones((1, 1)), 4, "one event"),
        (np.ones((3, 1)), np.ones((3, 1)), np.ones((3, 1)), np.zeros((3, 3)), 3, "all alike"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in parts)


EXERCISE = Exercise(
    id="silu_attention",
    title="Attention without a softmax",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _softmax,
            "That is softmax attention: its weights sum to 1, so ten events like the query weigh "
            "as much as one.",
        ),
        KnownWrong(
            _sigmoid,
            "That is the sigmoid. SiLU is x times the sigmoid of x; it may be below 0.",
        ),
        KnownWrong(
            lambda q, k, v, bias, n: _silu(q @ k.T + bias) @ v / n,
            "Queries read later keys. Keep the weights with j <= i only: np.tril.",
        ),
        KnownWrong(
            lambda q, k, v, bias, n: _silu(np.tril(q @ k.T + bias)) @ v,
            "The division by n is missing.",
        ),
        KnownWrong(
            lambda q, k, v, bias, n: np.tril(_silu(q @ k.T)) @ v / n,
            "The bias is missing: it is all that this attention knows of positions and time.",
        ),
        KnownWrong(
            _late,
            "The bias is added after SiLU. It belongs to the score, before it.",
        ),
        KnownWrong(
            _scaled,
            "HSTU does not divide the scores by the root of d.",
        ),
        KnownWrong(
            _mean,
            "Divided by the number of events that a query reads. The divisor is n for every query: "
            "then the sum still says how many events there are.",
        ),
        KnownWrong(
            lambda q, k, v, bias, n: _answer(k, q, v, bias, n),
            "Queries and keys are exchanged: scores[i, j] is q[i] times k[j].",
        ),
    ),
    hints=(
        "scores = q @ k.T + bias; SiLU is x / (1 + exp(-x)).",
        "SiLU of -inf is not a number: mask after SiLU, with zeros.",
        "np.tril(silu(scores)) @ v / n",
    ),
    notice="In *all alike* the outputs grow with the number of events: .24, .49, .73. A softmax "
    "would return 1 three times.",
)
