"""Ranking by an index over the output vectors of a network."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.ranking import top_k
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork
from m6rec_lite.recommenders.sequential.sequences import questions
from m6rec_lite.serving.search import SearchMethod, build_index, rank_all, to_unit_items


class IndexedRanker:
    """Ranks items by an index over a network's output vectors, instead of scoring all of them.

    Args:
        model: a fitted SASRec, GRU4Rec or BERT4Rec.
        method: see ``build_index``.

    Raises:
        TypeError: if the model has no vector for each history.
    """

    def __init__(self, model: Recommender, method: SearchMethod) -> None:
        if not isinstance(model, NextItemRecommender):
            raise TypeError(
                f"{model.name} scores histories as a whole, not by one vector for each: search "
                "needs SASRec, GRU4Rec or BERT4Rec; serve others with search='exact'"
            )
        network = model._network
        assert isinstance(network, NextItemNetwork)
        self.model, self._network = model, network
        weight = self._network.items.weight[: len(model._fitted_item_ids)].detach().cpu()
        bias = self._network.output_bias
        bias = torch.zeros(len(weight)) if bias is None else bias.detach().cpu()
        self._vectors = torch.column_stack([weight, bias]).numpy()  # s w + b = (s, 1) (w, b)
        self._index = build_index(to_unit_items(self._vectors), method)

    def rank(self, histories: Histories, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(n, k)`` indices and scores of unseen items; see ``rank_all``."""
        longest = int(histories.lengths.max(initial=0))
        wanted = min(k + longest, histories.n_items)
        scores = np.full((len(histories), wanted), -np.inf)
        indices = np.full((len(histories), wanted), -1, dtype=np.int64)
        for rows, states in self._states(histories):
            people = np.column_stack([states, np.zeros(len(states))])
            people /= np.linalg.norm(people, axis=1, keepdims=True)
            indices[rows], _ = self._index.search(people, wanted)
            scores[rows] = np.einsum("nd,nkd->nk", states, self._vectors[indices[rows]])
        seen = histories.matrix().toarray() > 0
        scores[(indices < 0) | np.take_along_axis(seen, indices, axis=1)] = -np.inf
        best = top_k(scores, k)
        indices, scores = (np.take_along_axis(a, best, axis=1) for a in (indices, scores))
        empty = histories.lengths == 0
        if empty.any():
            indices[empty], scores[empty] = rank_all(self.model, histories[empty], k)
        return np.where(scores > -np.inf, indices, -1), scores

    @torch.no_grad()
    def _states(self, histories: Histories) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return rows and their ``(rows, d + 1)`` states with a 1 for the bias."""
        parts = []
        for rows, batch in questions(histories, self.model._read_length):
            states = self._network.predict_state(batch["items"], Packing(batch["lengths"])).numpy()
            parts.append((rows, np.column_stack([states, np.ones(len(states))])))
        return parts
