"""The network of ``MultimodalRecommender``: item vectors, blocks over events, context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data.interactions import Histories
from m6rec_lite.multimodal.context import ContextTable
from m6rec_lite.multimodal.fusion import FUSIONS
from m6rec_lite.multimodal.item_encoder import SPREAD, ItemEncoder
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Transformer, TransformerConfig
from m6rec_lite.recommenders.sequential.next_item_network import ScoringNetwork
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches, questions
from m6rec_lite.training import Epoch

#: Score of items without training rows in the training softmax: they are no negatives.
LOWEST = -1e9


class MultimodalNetwork(ScoringNetwork):
    """Score items by the cosine of the user's vector and each item's vector, divided by ``tau``.

    Causal Transformer blocks run over the vectors of the history's items, ``max_length`` of them.
    The context of the next event, if there is any, is fused with their last state.
    """

    hide: Sequence[str] = ()  #: modalities to treat as missing in ``score``

    def __init__(
        self,
        items: ItemEncoder,
        config: TransformerConfig,
        max_length: int,
        context: ContextTable | None,
        fusion: str,
        tau: float,
    ) -> None:
        super().__init__()
        d = config.hidden_size
        self.items, self.context, self.tau = items, context, tau
        self.positions = LearnedPositions(max_length, d)
        self.dropout = Dropout(config.dropout)
        self.transformer = Transformer(config)
        if context is not None:
            sizes = context.sizes
            self.values = nn.ModuleDict({part: nn.Embedding(n, d) for part, n in sizes.items()})
            for weight in self.values.parameters():
                nn.init.normal_(weight, std=SPREAD)
            self.fusion = FUSIONS[fusion](context.parts, d, config.n_heads, config.dropout)

    def users(self, vectors: Tensor, batch: Batch) -> Tensor:
        """Return the ``(tokens, hidden_size)`` user vectors after each event, of length 1.

        ``vectors`` are those of all items. A model with context reads ``context`` of the batch,
        ``(tokens, parts)`` codes of the event after each.
        """
        packing = Packing(batch["lengths"])
        x = self.dropout(vectors[batch["items"]] + self.positions(packing.steps_back))
        states = self.transformer(x, causal=True, packing=packing)
        if self.context is not None:
            parts = self.context.parts
            codes = dict(zip(parts, batch["context"].unbind(dim=1), strict=True))
            tokens = {part: self.values[part](codes[part])[:, None] for part in parts}
            known = {part: codes[part][:, None] > 0 for part in parts}
            states = self.fusion(states, tokens, known)
        return F.normalize(states, dim=1)

    def loss(self, batch: Batch, *, mask_history: bool) -> Tensor:
        """Return the mean cross-entropy over the items that have training rows."""
        vectors = self.items()
        excluded = None
        if mask_history:
            excluded = Excluded.history(batch["items"], Packing(batch["lengths"]))
        return linear_cross_entropy(
            self.users(vectors, batch),
            F.normalize(vectors, dim=1) / self.tau,
            batch["targets"],
            bias=torch.where(self.items.trained, 0.0, LOWEST),
            excluded=excluded,
        )

    @torch.no_grad()
    def score(self, histories: Histories, max_length: int) -> np.ndarray:
        """Return ``(n, n_items)`` scores, see ``ScoringNetwork``; 0 for empty histories."""
        vectors = self.items(self.hide)
        ends = F.normalize(vectors, dim=1) / self.tau
        scores = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        codes = None if self.context is None else self.context.of_queries(histories)
        for rows, batch in questions(histories, max_length):
            if codes is not None:  # only the last token of each row is used
                context = torch.from_numpy(codes[rows])
                batch["context"] = context.repeat_interleave(batch["lengths"], dim=0)
            batch = {key: value.to(vectors.device) for key, value in batch.items()}
            users = self.users(vectors, batch)[Packing(batch["lengths"]).ends]
            scores[rows] = (users @ ends.t()).float().cpu().numpy()
        return scores


class ContextBatches(NextItemBatches):
    """``NextItemBatches`` with ``context``, ``(tokens, parts)`` codes of each target."""

    def __init__(self, histories: Histories, context: ContextTable, **settings: int | str) -> None:
        numbered = replace(histories, items=np.arange(len(histories.items)))
        super().__init__(numbered, **settings)  # type: ignore[arg-type]
        self._items = torch.from_numpy(histories.items.astype(np.int64))
        self._codes = torch.from_numpy(context.of_events(histories))

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """Return all sequences in a new random order."""
        plan = super().epoch(seed, epoch)

        def build(i: int) -> Batch:
            batch = plan[i]
            events, targets = batch["items"], batch["targets"]
            inputs = {"items": self._items[events], "targets": self._items[targets]}
            return {"lengths": batch["lengths"]} | inputs | {"context": self._codes[targets]}

        return Epoch(len(plan), build)
