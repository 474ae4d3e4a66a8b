"""The optimism of choosing the best of several models on the questions that report it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BestOfN:
    """The best of n models, chosen on one half of the questions and reported on both.

    Attributes:
        chosen: ``(draws,)`` its mean on the half that chose it.
        fresh: ``(draws,)`` its mean on the other half.
        typical: ``(draws,)`` mean of all n models on the other half.
    """

    chosen: np.ndarray
    fresh: np.ndarray
    typical: np.ndarray

    @property
    def optimism(self) -> float:
        """Mean of ``chosen - fresh``: how much the choice flatters."""
        return float((self.chosen - self.fresh).mean())


def best_of_n(values: np.ndarray, n: int, *, draws: int = 200, seed: int = 0) -> BestOfN:
    """Draw n models and a random half of the questions, choose the best there, and repeat.

    Both halves come from the same questions, so without a choice (``n=1``) the expectation of
    ``chosen - fresh`` is 0.

    Args:
        values: ``(models, questions)``, such as the NDCG of every user.
        n: number of models that are compared, at most all.
        draws: number of repetitions.
        seed: seed of the draws.

    Raises:
        ValueError: if ``n`` is out of range, or there are fewer than two questions.
    """
    models, questions = values.shape
    if not 1 <= n <= models:
        raise ValueError(f"n must be between 1 and the {models} models, got {n!r}")
    if questions < 2:
        raise ValueError("the questions are divided into halves: give at least two")
    rng = np.random.default_rng(seed)
    rows = np.empty((draws, 3))
    for draw in rows:
        some = values[rng.choice(models, n, replace=False)]
        order = rng.permutation(questions)
        first, second = order[: questions // 2], order[questions // 2 :]
        means = some[:, first].mean(axis=1)
        best = int(np.argmax(means))
        draw[:] = means[best], some[best, second].mean(), some[:, second].mean()
    return BestOfN(*rows.T)
