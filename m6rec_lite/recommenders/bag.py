"""A small softmax recommender from the bag of a history: a linear map between item vectors.

    scores = (x V) W V'

x holds the decayed shares of the items of a history, V has a vector for each item, and W maps what
a user had to what comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import trange

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.evaluation.memory import require_memory
from m6rec_lite.recommenders.base import Recommender, recency_weights
from m6rec_lite.recommenders.content import catalogue_table, item_texts, tf_idf, words_and_bigrams
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.ranking import cosine_to

TEXT_COLUMNS = ("domain", "category", "title", "tags", "description", "creator")
ITERATIONS, OVERSAMPLING = 30, 8  #: of the SVD of the texts
#: Memory of a step for each bag and item: the bag, its copy, and the scores with their gradients.
BYTES_PER_SCORE = 32
#: Learning rate by ``item_input``.
LEARNING_RATES = {"text": 100.0, "ids": 10.0}
#: Parameters or gradients by name.
Values = Mapping[str, Tensor]
#: Bags ``(B, positions, n_items)`` and next items ``(B, positions)`` of B people.
Examples = tuple[Tensor, Tensor]


@dataclass(eq=False, repr=False)
class BagRecommender(Recommender):
    """Softmax over the catalogue from a decayed bag of the history.

    Each step of SGD draws people, and some events of each; ``trust`` has variants that train with
    differential privacy and against changes of the input.

    Args:
        item_input: ``"text"``: V is computed from the item texts and fixed, only W is trained.
            ``"ids"``: V is trained too.
        factors: length d of the vectors.
        decay: factor on the weight of an event for each step back in the history, in (0, 1].
        sample_rate: probability with which a person takes part in a step.
        steps: number of steps of SGD; 0 leaves the start, which has seen no person.
        positions: number of events of a person that are predicted in a step.
        lr: learning rate of SGD; None takes that of ``LEARNING_RATES``, which suits the bazaar
            and its default ``factors``, or 32 with ``"ids"``.
        seed: of the start and the draws.

    Attributes:
        vectors_: ``(n_items, factors)``, V.
        map_: ``(factors, factors)``, W.
    """

    item_input: Literal["text", "ids"] = "text"
    factors: int = 128
    decay: float = 0.8
    sample_rate: float = 0.1
    steps: int = 50
    positions: int = 4
    lr: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.item_input not in ("text", "ids"):
            raise ValueError(f"item_input must be 'text' or 'ids', got {self.item_input!r}")
        for name in ("factors", "positions"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        check_in_range("steps", self.steps, 0)
        for name, high in (("lr", np.inf), ("decay", 1), ("sample_rate", 1)):
            if getattr(self, name) is not None:
                check_in_range(name, getattr(self, name), 0, high, open_low=True)

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
        drawn_rows = self.sample_rate * train.n_users * self.positions
        require_memory(
            BYTES_PER_SCORE * drawn_rows * train.n_items,
            f"{self.name}: a step with {drawn_rows:,.0f} bags of {train.n_items:,} items",
            "Take a smaller sample_rate, or fewer positions",
        )
        histories = train.histories()
        people = np.flatnonzero(histories.lengths > 1)

        def loss(values: Values, example: Examples) -> Tensor:
            return self._loss(values["map"], values.get("vectors", vectors), *example)

        lr = LEARNING_RATES[self.item_input] if self.lr is None else self.lr
        optimizer = torch.optim.SGD(list(parameters.values()), lr=lr)
        for _ in trange(self.steps, desc=self.name, delay=2, disable=not progress, leave=False):
            drawn = people[rng.random(len(people)) < self.sample_rate]
            batch = self._examples(histories, drawn, rng)
            expected = self.sample_rate * len(people)
            gradients = self._gradients(loss, parameters, batch, expected)
            for name, value in parameters.items():
                value.grad = gradients[name].detach()
            optimizer.step()
        self.map_ = parameters["map"].numpy()
        self.vectors_ = parameters.get("vectors", vectors).numpy()
        if not (np.isfinite(self.map_).all() and np.isfinite(self.vectors_).all()):
            raise FloatingPointError(f"{self!r} diverged: take a smaller lr than {lr:g}")

    def _gradients(
        self,
        loss: Callable[[Values, Examples], Tensor],
        parameters: Values,
        batch: Examples,
        expected_size: float,
    ) -> Values:
        """Return the gradients of the mean loss; 0 if no person was drawn.

        Args:
            loss: mean loss of parameters by name and of examples.
            parameters: by name.
            batch: examples of the people that were drawn.
            expected_size: expected number of these people.
        """
        if len(batch[0]) == 0:
            return {name: torch.zeros_like(value) for name, value in parameters.items()}
        return torch.func.grad(loss)(parameters, batch)

    def _score(self, histories: Histories) -> np.ndarray:
        return (self._bags(histories) @ self.vectors_ @ self.map_ @ self.vectors_.T).astype(float)

    def _similarity(self, index: int) -> np.ndarray:
        return cosine_to(self.vectors_, index)

    def _examples(
        self, histories: Histories, rows: np.ndarray, rng: np.random.Generator
    ) -> Examples:
        """Draw positions of the histories of these rows."""
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
        scores = (bags @ vectors @ map_ @ vectors.T).masked_fill(seen, -torch.inf)
        return F.cross_entropy(scores, targets)


def text_factors(items: pd.DataFrame, factors: int) -> np.ndarray:
    """Return ``(n_items, factors)`` float32 unit vectors: a truncated SVD of TF-IDF.

    Further columns are 0 if the texts have fewer different words or rows than ``factors``. Subspace
    iteration from a fixed start gives the same vectors each time (Halko, Martinsson and Tropp,
    *Finding structure with randomness*, 2011, algorithm 4.4).
    """
    words, _ = tf_idf(item_texts(items, TEXT_COLUMNS), words_and_bigrams, min_df=2)
    rank = min(factors, *words.shape)
    basis = np.random.default_rng(0).normal(size=(len(items), min(rank + OVERSAMPLING, len(items))))
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(words @ (words.T @ basis))
    projected = words.T @ basis  # (n_words, rank + OVERSAMPLING)
    values, turn = np.linalg.eigh(projected.T @ projected)  # ascending squares of singular values
    vectors = np.zeros((len(items), factors), dtype=np.float32)
    vectors[:, :rank] = (basis @ turn * np.sqrt(values.clip(min=0.0)))[:, ::-1][:, :rank]
    vectors -= vectors.mean(axis=0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
