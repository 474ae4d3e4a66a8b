"""Optional parts of the retriever: a long memory, attributes of the user, and a linear path.

Each starts without effect on the user vector (the first two), or with a weight of 1 (the linear
path), and is trained with the network.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from m6rec_lite.data.interactions import Interactions
from m6rec_lite.evaluation.memory import require_memory
from m6rec_lite.nn.bags import DecayedBags, decayed_bags
from m6rec_lite.nn.losses import CHUNK, AddedScores
from m6rec_lite.recommenders.base import recency_weights
from m6rec_lite.recommenders.ease import EASE

#: Factor on the weight of an event in the long memory for each step back in the history.
MEMORY_DECAY = 0.98

#: The same in the linear path, as of ``EASE(decay=0.8)``.
LINEAR_DECAY = 0.8

#: Number of training histories on which the scale of the linear path is measured.
SCALE_SAMPLE = 512


class LongMemory(nn.Module):
    """A linear map of a decayed bag of all events of the history.

    The weights of the events, ``MEMORY_DECAY ** steps_back``, are scaled to a vector of length 1,
    as the weights of the tokens of an item's text are. The map starts at 0.

    Args:
        hidden_size: of the item vectors.
        dimensions: of the user vectors.
    """

    def __init__(self, hidden_size: int, dimensions: int) -> None:
        super().__init__()
        self.proj = nn.Linear(hidden_size, dimensions, bias=False)
        nn.init.zeros_(self.proj.weight)

    def after_each(self, vectors: Tensor, bags: DecayedBags) -> Tensor:
        """Return what is added to the user vector after each token, ``(tokens, dimensions)``.

        Args:
            vectors: ``(n_items, hidden_size)``.
            bags: of the packed rows.
        """
        n = len(bags.items)
        chunks = (
            bags.sums(vectors, MEMORY_DECAY, first, min(first + CHUNK, n))
            for first in range(0, n, CHUNK)
        )
        return self._map(torch.cat(list(chunks)), bags.n_events)

    def after_all(self, vectors: Tensor, items: Tensor, lengths: Tensor) -> Tensor:
        """Return what is added after the last event of each history, ``(rows, dimensions)``.

        Args:
            vectors: ``(n_items, hidden_size)``.
            items: ``(events,)`` of all histories, whole.
            lengths: ``(rows,)`` number of events of each.
        """
        return self._map(decayed_bags(items, lengths, vectors, MEMORY_DECAY), lengths)

    def _map(self, sums: Tensor, n_events: Tensor) -> Tensor:
        square = MEMORY_DECAY**2
        # The squares of the weights 1, d, d^2, ... of n events sum to (1 - d^2n) / (1 - d^2).
        length = ((1 - square ** n_events.to(sums.dtype)) / (1 - square)).sqrt()
        return self.proj(sums * math.sqrt(sums.shape[1]) / length[:, None])


class AttributeEmbeddings(nn.Module):
    """The sum of the embeddings of a user's attributes, which start at 0.

    The sum is multiplied by the root of ``dimensions``, as the inputs of the blocks are by that of
    ``hidden_size``, so that it learns as fast as they do.

    Args:
        sizes: number of values of each attribute; code 0, for none, has no embedding.
        dimensions: of the user vectors.
    """

    def __init__(self, sizes: list[int], dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions
        tables = [nn.Embedding(1 + size, dimensions, padding_idx=0) for size in sizes]
        for table in tables:
            nn.init.zeros_(table.weight)
        self.tables = nn.ModuleList(tables)

    def forward(self, profiles: Tensor) -> Tensor:
        """Map ``(rows, n_attributes)`` codes to ``(rows, dimensions)``."""
        embeddings = [table(profiles[:, i]) for i, table in enumerate(self.tables)]
        return torch.stack(embeddings).sum(dim=0) * math.sqrt(self.dimensions)


class LinearPath(nn.Module):
    """The decayed scores of EASE, which are added to those of the network with a learned weight.

    A linear model remembers pairs of items, and the network generalises beyond them. The weights of
    EASE are fixed. Source: Cheng et al., *Wide & deep learning for recommender systems*, 2016.

    Args:
        weights: ``(n_items, n_items)`` float32, from ``linear_weights``.
    """

    weights: Tensor

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(weights))
        self.scale = nn.Parameter(torch.ones(1))

    def after_each(self, bags: DecayedBags, candidates: Tensor) -> AddedScores:
        """Return the scores of some items after each token, for the loss.

        Args:
            bags: of the packed rows.
            candidates: ``(c,)`` int64 item indices.
        """
        table = self.weights.index_select(1, candidates)
        return AddedScores(
            self.scale, lambda first, last: bags.sums(table, LINEAR_DECAY, first, last)
        )

    def after_all(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the scores of all items after each history, ``(rows, n_items)``.

        Args:
            items: ``(events,)`` of all histories, whole.
            lengths: ``(rows,)`` number of events of each.
        """
        return self.scale * decayed_bags(items, lengths, self.weights, LINEAR_DECAY)


def linear_weights(train: Interactions) -> np.ndarray:
    """Fit EASE and return its weights, scaled so that scores have a standard deviation of 1.

    The scale is that of all scores of up to ``SCALE_SAMPLE`` training histories.

    Returns:
        ``(n_items, n_items)`` float32.
    """
    require_memory(
        20.0 * train.n_items**2,
        f"the linear path of a retriever of {train.n_items:,} items",
        "linear=False leaves it out",
    )
    ease = EASE(decay=LINEAR_DECAY).fit(train, progress=False)
    histories = train.histories()
    rows = np.unique(np.linspace(0, len(histories) - 1, SCALE_SAMPLE).astype(np.int64))
    sample = histories[rows]
    scores = sample.matrix(recency_weights(sample, LINEAR_DECAY)) @ ease.weights_
    return (ease.weights_ / (scores.std() or 1.0)).astype(np.float32)
