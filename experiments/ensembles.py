"""Ensembles of two recommenders whose weights are chosen on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m6rec_lite.data import Split
from m6rec_lite.evaluation import FixedScores, evaluate
from m6rec_lite.recommenders import Hybrid, Recommender

#: Weights of the first part that are tried; that of the second is 1 minus it.
WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True)
class ChosenEnsemble:
    """The best weighted sum of two recommenders on validation.

    Attributes:
        model: the ensemble.
        weight: of the first part; that of the second is ``1 - weight``.
        ndcg: validation NDCG@10 by weight of the first part.
    """

    model: Hybrid
    weight: float
    ndcg: dict[float, float]


def choose_ensemble(
    first: Recommender, second: Recommender, split: Split, weights: Sequence[float] = WEIGHTS
) -> ChosenEnsemble:
    """Choose the weights of ``Hybrid([first, second])`` by NDCG@10 on validation.

    Each part scores the validation histories once.

    Args:
        first: a fitted model.
        second: a fitted model of the same catalogue.
        split: whose validation set has at most one question for each user.
        weights: of the first part, from 0 to 1.
    """
    histories = split.validation.histories
    parts = [standardised(model.score(histories)) for model in (first, second)]
    ndcg = {}
    for weight in weights:
        matrix = weight * parts[0] + (1 - weight) * parts[1]
        scores = FixedScores(split.item_ids, histories.user_ids, matrix)
        report = evaluate(scores, split, on="validation", bootstrap=0, progress=False)
        ndcg[weight] = report["ndcg@10"]
    best = max(ndcg, key=lambda weight: ndcg[weight])
    model = Hybrid([first, second], weights=[best, round(1 - best, 6)])
    return ChosenEnsemble(model.fit(split.train, progress=False), best, ndcg)


def standardised(scores: np.ndarray) -> np.ndarray:
    """Scale each row of finite scores to mean 0 and standard deviation 1, as ``Hybrid`` does."""
    centred = scores.astype(np.float64) - scores.mean(axis=1, keepdims=True, dtype=np.float64)
    return centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-12)
