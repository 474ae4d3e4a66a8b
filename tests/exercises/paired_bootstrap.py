"""Right answers to ``paired_bootstrap`` written in other ways, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _interval(
    draw: Callable[[np.random.Generator, np.ndarray, np.ndarray], float],
    tail: float = 0.025,
) -> Callable[..., tuple[float, float]]:
    """A bootstrap whose single draw is ``draw``."""

    def interval(
        a: np.ndarray, b: np.ndarray, n_resamples: int = 2000, seed: int = 0
    ) -> tuple[float, float]:
        rng, a, b = np.random.default_rng(seed), np.asarray(a), np.asarray(b)
        means = [draw(rng, a, b) for _ in range(n_resamples)]
        return float(np.quantile(means, tail)), float(np.quantile(means, 1 - tail))

    return interval


def _paired(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> float:
    rows = rng.integers(0, len(a), len(a))
    return a[rows].mean() - b[rows].mean()


def _apart(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> float:
    return rng.choice(a, len(a)).mean() - rng.choice(b, len(b)).mean()


def _no_return(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> float:
    return (a - b)[rng.permutation(len(a))].mean()


def _of_users(
    a: np.ndarray, b: np.ndarray, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    low, high = np.quantile(np.asarray(a) - np.asarray(b), [0.025, 0.975])
    return float(low), float(high)


def _paired_by_index(
    a: np.ndarray, b: np.ndarray, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(a), size=(n_resamples, len(a)))
    means = np.asarray(a)[rows].mean(axis=1) - np.asarray(b)[rows].mean(axis=1)
    return tuple(np.percentile(means, (2.5, 97.5)))


CORRECT = (_interval(_paired), _paired_by_index)

WRONG = (
    (_interval(_apart), "judged on different users"),
    (_interval(lambda rng, a, b: -_paired(rng, a, b)), "The sign is wrong"),
    (_interval(_no_return), "without replacement"),
    (_of_users, "quantiles of the users' differences"),
    (_interval(_paired, tail=0.05), "a 90 % interval"),
    (_interval(lambda rng, a, b: rng.choice(a, len(a)).mean()), "of model a alone"),
)

EQUIVALENT = {
    "low, high = np.quantile(draws.mean(axis=1), [0.0375, 0.975])": (
        "not equivalent, but too close for a check that accepts any right way to draw"
    ),
}
