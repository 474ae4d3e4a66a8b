"""``BagRecommender`` trained with differential privacy, or against changes of its input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from m6rec_lite.data.interactions import Interactions
from m6rec_lite.recommenders.bag import BagRecommender, Examples, Values
from m6rec_lite.recommenders.params import check_in_range
from m6rec_lite.trust.accounting import noise_for_epsilon
from m6rec_lite.trust.adversarial import contrastive_loss, worst_perturbation
from m6rec_lite.trust.dp_sgd import private_gradient
from m6rec_lite.trust.mechanisms import check_privacy


@dataclass(eq=False, repr=False)
class PrivateBagRecommender(BagRecommender):
    """A ``BagRecommender`` trained by DP-SGD with a person as the unit.

    Adding or removing all rows of a person changes the distribution of V and W by at most (epsilon,
    delta). The item texts and the number of people count as public. The noise is drawn from
    ``seed`` so that a run can be repeated; for real data the seed must be secret.

    Args:
        epsilon: above 0; ``inf``: gradients are clipped, without noise.
        delta: in (0, 1).
        max_norm: limit of the norm of a person's gradient.

    The other arguments are those of ``BagRecommender``.

    Attributes:
        noise_multiplier_: of DP-SGD; 0 without noise.
    """

    epsilon: float = 3.0
    delta: float = 1e-5
    max_norm: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_privacy(self.epsilon, self.delta)
        check_in_range("max_norm", self.max_norm, 0, open_low=True)

    def _fit(self, train: Interactions, **extras: Any) -> None:
        self.popularity_ = np.zeros(train.n_items)  # exact counts are not private
        self.noise_multiplier_ = 0.0
        if self.epsilon < np.inf and self.steps:
            self.noise_multiplier_ = noise_for_epsilon(
                self.epsilon, self.sample_rate, self.steps, self.delta
            )
        super()._fit(train, **extras)

    def _gradients(
        self,
        loss: Callable[[Values, Examples], Tensor],
        parameters: Values,
        batch: Examples,
        expected_size: float,
    ) -> Values:
        return private_gradient(
            loss,
            parameters,
            batch,
            max_norm=self.max_norm,
            noise_multiplier=self.noise_multiplier_,
            expected_size=expected_size,
            generator=self._generator,
        )


@dataclass(eq=False, repr=False)
class RobustBagRecommender(BagRecommender):
    """A ``BagRecommender`` trained against changes of the item vectors and of the history.

    Args:
        radius: above 0 adds the loss under the worst change of V within this radius.
        contrast: weight of the contrastive loss of two random halves of each history.

    The other arguments are those of ``BagRecommender``.
    """

    radius: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("radius", "contrast"):
            check_in_range(name, getattr(self, name), 0)

    def _loss(self, map_: Tensor, vectors: Tensor, bags: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss, with what is added to it."""
        plain = super()._loss
        loss = plain(map_, vectors, bags, targets)
        if self.radius:
            worst = worst_perturbation(
                lambda v: plain(map_, v, bags, targets), vectors, self.radius
            )
            loss = loss + plain(map_, vectors + worst, bags, targets)
        if self.contrast:
            bags = bags.flatten(0, -2)
            half = torch.rand(bags.shape, generator=self._generator) < 0.5
            views = [F.normalize(bags * part, p=1.0) @ vectors @ map_ for part in (half, ~half)]
            loss = loss + self.contrast * contrastive_loss(views[0], views[1])
        return loss


def under_attack(model: BagRecommender, train: Interactions, radius: float) -> BagRecommender:
    """Return a copy of a model whose item vectors are moved by ``radius``, to fit ``train`` worst.

    The loss is that of events of 1,000 people at most.
    """
    rng, histories = np.random.default_rng(model.seed), train.histories()
    people = rng.permutation(np.flatnonzero(histories.lengths > 1))[:1000]
    examples = model._examples(histories, people, rng)
    vectors, map_ = torch.from_numpy(model.vectors_), torch.from_numpy(model.map_)

    def loss(v: Tensor) -> Tensor:
        return BagRecommender._loss(model, map_, v, *examples)  # without what training added

    attacked = copy.copy(model)
    attacked.vectors_ = (vectors + worst_perturbation(loss, vectors, radius)).numpy()
    return attacked
