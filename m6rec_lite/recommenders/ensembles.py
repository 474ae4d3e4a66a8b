"""Ensembles of one kind of model: bagging, and the average of weights.

Sources: Breiman, *Bagging predictors*, 1996; Wortsman et al., *Model soups*, 2022.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.augmentation import take_users
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.hybrid import Hybrid
from m6rec_lite.recommenders.params import check_whole

if TYPE_CHECKING:
    from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender

Model = TypeVar("Model", bound="SequenceRecommender")


def bagging(
    make: Callable[[int], Recommender],
    train: Interactions,
    n: int = 10,
    *,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Hybrid:
    """Fit ``n`` models on users drawn with replacement, and add their standardised scores.

    Args:
        make: returns an unfitted model for the number of the part, such as
            ``lambda seed: SASRec(seed=seed)``.
        train: training rows.
        n: number of models.
        items: table of items, for models that read it.
        users: table of users, likewise.
        seed: seed of the draws.
        progress: show the progress bars of the models.

    Returns:
        A fitted ``Hybrid``.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for part in range(check_whole("n", n)):
        drawn = take_users(train, rng.integers(train.n_users, size=train.n_users))
        parts.append(make(part).fit(drawn, items=items, users=users, progress=progress))
    return Hybrid(parts).fit(train, items=items, users=users, progress=progress)


def average_weights(models: Sequence[Model]) -> Model:
    """Return a model whose weights are the mean of the weights of fitted networks.

    The average is good if the networks lie in one basin of the loss, as parts of one run or fits
    that started from one network do. Networks from different initial weights differ by
    permutations of their hidden units, and their average is no network that anybody trained.

    Args:
        models: fitted models of one class, with equal settings and the same catalogue.

    Raises:
        NotFittedError: if a model is not fitted.
        DataError: if catalogues or shapes differ.
        ValueError: if there is no model.
    """
    if not models:
        raise ValueError("average_weights needs at least one model")
    catalogues = [model._fitted_item_ids for model in models]
    states = [model._network.state_dict() for model in models]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    for catalogue, shape in zip(catalogues, shapes, strict=True):
        if shape != shapes[0] or not np.array_equal(catalogue, catalogues[0]):
            raise DataError("the models differ in catalogue or shape; fit all with equal settings")
    averaged = copy.deepcopy(models[0])
    averaged._network.load_state_dict(
        {name: sum(state[name] for state in states) / len(states) for name in states[0]}
    )
    return averaged
