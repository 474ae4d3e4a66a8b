"""A small softmax recommender that is trained with differential privacy, or against changes.

    scores = (x V) W V'

x holds the decayed shares of the items of a history, V has a vector for each item, and W maps what
a user had to what comes next.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from scipy.sparse.linalg import svds
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import trange

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.recommenders import Recommender, item_texts, tf_idf, words_and_bigrams
from m6rec_lite.recommenders.base import recency_weights
from m6rec_lite.recommenders.content import catalogue_table
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.trust.accounting import Accountant, noise_for_epsilon
from m6rec_lite.trust.adversarial import contrastive_loss, worst_perturbation
from m6rec_lite.trust.dp_sgd import private_gradient
from m6rec_lite.trust.mechanisms import check_privacy

TEXT_COLUMNS = ("domain", "category", "title", "tags", "description", "creator")
Values = Mapping[str, Tensor]


@dataclass(eq=False, repr=False)
class BagRecommender(Recommender):
    """Softmax over the catalogue from a decayed bag of the history.

    With ``epsilon``, training is DP-SGD with a person as the unit: adding or removing all rows of
    a person changes the distribution of V and W by at most (epsilon, delta). The item texts and the
    number of people count as public. The noise is drawn from ``seed`` so that a run can be
    repeated; for real data the seed must be secret.

    Args:
        item_input: ``"text"``: V is computed from the item texts and fixed, only W is trained.
            ``"ids"``: V is trained too.
        factors: length d of the vectors.
        decay: factor on the weight of an event for each step back in the history, in (0, 1].
        epsilon: None: no privacy, gradients are not clipped. ``inf``: clipped, without noise.
        delta: in (0, 1).
        max_norm: limit of the norm of a person's gradient.
        sample_rate: probability with which a person takes part in a step.
        steps: number of steps of SGD; 0 leaves the start, which has seen no person.
        positions: number of events of a person that are predicted in a step.
        lr: learning rate of SGD; None is 100 with ``"text"`` and 10 with ``"ids"``.
        radius: above 0 adds the loss under the worst change of V within this radius.
        contrast: weight of the contrastive loss of two random halves of each history.
        accountant: how epsilon is counted, see ``epsilon_spent``.
        seed: of the start, the draws and the noise.

    Attributes:
        vectors_: ``(n_items, factors)``, V.
        map_: ``(factors, factors)``, W.
        noise_multiplier_: of DP-SGD; 0 without noise.
    """

    item_input: Literal["text", "ids"] = "text"
    factors: int = 128
    decay: float = 0.8
    epsilon: float | None = None
    delta: float = 1e-5
    max_norm: float = 0.2
    sample_rate: float = 0.1
    steps: int = 50
    positions: int = 4
    lr: float | None = None
    radius: float = 0.0
    contrast: float = 0.0
    accountant: Accountant = "rdp"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.item_input not in ("text", "ids"):
            raise ValueError(f"item_input must be 'text' or 'ids', got {self.item_input!r}")
        if self.lr is None:
            self.lr = 100.0 if self.item_input == "text" else 10.0
        for name in ("factors", "positions"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        for name, high in (("max_norm", np.inf), ("lr", np.inf), ("decay", 1), ("sample_rate", 1)):
            check_in_range(name, getattr(self, name), 0, high, open_low=True)
        for name in ("steps", "radius", "contrast"):
            check_in_range(name, getattr(self, name), 0)
        if self.epsilon is not None:
            check_privacy(self.epsilon, self.delta)
            if self.radius or self.contrast:
                raise ValueError("radius and contrast are not private: they need epsilon=None")

    def _fit(
        self,
        train: Interactions,
        *,
        items: pd.DataFrame | None = None,
        progress: bool = True,
        **extras: Any,
    ) -> None:
        rng = np.random.default_rng(self.seed)
        self._generator = torch.Generator().manual_seed(self.seed)
        parameters = {"map": 10.0 * torch.eye(self.factors)}
        if self.item_input == "text":
            table = catalogue_table(items, train, self.name)
            vectors = torch.from_numpy(text_factors(table, self.factors))
        else:
            shape = train.n_items, self.factors
            vectors = torch.randn(shape, generator=self._generator) / self.factors**0.5
            parameters["vectors"] = vectors
        self.noise_multiplier_ = 0.0
        if self.epsilon is not None:
            self.popularity_ = np.zeros(train.n_items)  # exact counts are not private
            if self.epsilon < np.inf and self.steps:
                budget = (self.epsilon, self.sample_rate, self.steps, self.delta)
                self.noise_multiplier_ = noise_for_epsilon(*budget, accountant=self.accountant)
        histories = train.histories()
        people = np.flatnonzero(histories.lengths > 1)

        def loss(values: Values, example: tuple[Tensor, Tensor]) -> Tensor:
            return self._loss(values["map"], values.get("vectors", vectors), *example)

        assert self.lr is not None  # set by __post_init__
        optimizer = torch.optim.SGD(list(parameters.values()), lr=self.lr)
        for _ in trange(self.steps, desc=self.name, delay=2, disable=not progress, leave=False):
            drawn = people[rng.random(len(people)) < self.sample_rate]
            batch = self._examples(histories, drawn, rng)
            if self.epsilon is not None:
                gradients = private_gradient(
                    loss,
                    parameters,
                    batch,
                    max_norm=self.max_norm,
                    noise_multiplier=self.noise_multiplier_,
                    expected_size=self.sample_rate * len(people),
                    generator=self._generator,
                )
            elif len(drawn):
                gradients = torch.func.grad(loss)(parameters, batch)
            else:
                continue
            for name, value in parameters.items():
                value.grad = gradients[name].detach()
            optimizer.step()
        self.map_ = parameters["map"].numpy()
        self.vectors_ = parameters.get("vectors", vectors).numpy()

    def under_attack(self, train: Interactions, radius: float) -> Self:
        """Return a copy whose item vectors are moved by ``radius``, to fit ``train`` worst."""
        rng, histories = np.random.default_rng(self.seed), train.histories()
        people = rng.permutation(np.flatnonzero(histories.lengths > 1))[:1000]
        example = self._examples(histories, people, rng)
        plain = copy.copy(self).set_params(radius=0.0, contrast=0.0)
        vectors, map_ = torch.from_numpy(self.vectors_), torch.from_numpy(self.map_)
        worst = worst_perturbation(lambda v: plain._loss(map_, v, *example), vectors, radius)
        plain.vectors_ = (vectors + worst).numpy()
        return plain

    def _score(self, histories: Histories) -> np.ndarray:
        return (self._bags(histories) @ self.vectors_ @ self.map_ @ self.vectors_.T).astype(float)

    def _examples(
        self, histories: Histories, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw positions of rows: bags ``(B, positions, n_items)`` and next items."""
        rows = np.repeat(rows, self.positions)
        lengths = 1 + (rng.random(len(rows)) * (histories.lengths[rows] - 1)).astype(np.int64)
        targets = histories.items[histories.offsets[rows] + lengths].astype(np.int64)
        bags = self._bags(histories.first_events(rows, lengths, histories.at[rows]))
        shape = (len(rows) // self.positions, self.positions, histories.n_items)
        return torch.from_numpy(bags).view(shape), torch.from_numpy(targets).view(shape[:2])

    def _bags(self, histories: Histories) -> np.ndarray:
        """Return ``(n, n_items)`` float32 shares of the items of each history."""
        bags = histories.matrix(recency_weights(histories, self.decay)).toarray()
        return (bags / bags.sum(axis=1, keepdims=True).clip(min=1e-12)).astype(np.float32)

    def _loss(self, map_: Tensor, vectors: Tensor, bags: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss; items of the history are left out of the softmax."""
        bags, targets = bags.flatten(0, -2), targets.flatten()
        seen = (bags > 0) & (torch.arange(bags.shape[-1]) != targets[:, None])

        def cross_entropy(v: Tensor) -> Tensor:
            scores = (bags @ v @ map_ @ v.T).masked_fill(seen, -torch.inf)
            return F.cross_entropy(scores, targets)

        loss = cross_entropy(vectors)
        if self.radius:
            loss = loss + cross_entropy(
                vectors + worst_perturbation(cross_entropy, vectors, self.radius)
            )
        if self.contrast:
            half = torch.rand(bags.shape, generator=self._generator) < 0.5
            views = [F.normalize(bags * part, p=1.0) @ vectors @ map_ for part in (half, ~half)]
            loss = loss + self.contrast * contrastive_loss(views[0], views[1])
        return loss


def text_factors(items: pd.DataFrame, factors: int) -> np.ndarray:
    """Return ``(n_items, factors)`` float32 unit vectors: a truncated SVD of TF-IDF.

    Further columns are 0 if the texts have fewer different words or rows than ``factors``.
    """
    words, _ = tf_idf(item_texts(items, TEXT_COLUMNS), words_and_bigrams, min_df=2)
    rank = min(factors, min(words.shape) - 1)
    vectors = np.zeros((len(items), factors), dtype=np.float32)
    if rank > 0:
        left, sizes, _ = svds(words, k=rank, v0=np.ones(min(words.shape)))
        vectors[:, :rank] = left * sizes
        vectors -= vectors.mean(axis=0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
