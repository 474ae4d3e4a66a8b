"""SASRec: a Transformer that reads a history and predicts the next item.

Source: Kang and McAuley, *Self-attentive sequential recommendation*, 2018. Its loss there is
binary cross-entropy with one negative. With cross-entropy over the whole catalogue the same network
ranks better (Klenitskiy and Vasilev, *Turning dross into gold loss: is BERT4Rec really better than
SASRec?*, 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from m6rec_lite.data.interactions import Histories
from m6rec_lite.nn.attention import AttentionContext
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import LearnedPositions
from m6rec_lite.nn.transformer import Transformer, TransformerConfig
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork


class SASRecNetwork(NextItemNetwork):
    """Embeddings of items plus those of positions, then causal blocks.

    Positions count from the end: 0 is the latest item, from which the next is predicted at test.

    Args:
        n_items: size of the catalogue.
        max_length: number of positions.
        config: of the blocks.
    """

    def __init__(self, n_items: int, max_length: int, config: TransformerConfig) -> None:
        super().__init__(n_items, config.hidden_size)
        self.positions = LearnedPositions(max_length, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.transformer = Transformer(config)
        for module in self.transformer.modules():
            if isinstance(module, nn.Linear):  # small: at first each item speaks for itself
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """``(tokens,)`` to ``(tokens, hidden_size)``; each token sees its row's earlier ones."""
        return self.transformer(self.embed(items, packing.steps_back), causal=True, packing=packing)

    def embed(self, items: Tensor, steps_back: Tensor) -> Tensor:
        """What enters the first block, ``(tokens, hidden_size)``."""
        x = self.items(items) * math.sqrt(self.items.embedding_dim)
        return self.dropout(x + self.positions(steps_back))

    @torch.no_grad()
    def attention_maps(self, items: Tensor) -> np.ndarray:
        """Of one sequence ``(time,)``: ``(n_layers, n_heads, time, time)`` weights."""
        x = self.embed(items, torch.arange(len(items), device=items.device).flip(0))[None]
        maps, context = [], AttentionContext(causal=True)
        for block in self.transformer.blocks:
            # the norm stands before the branch, so the map is made from what the norm gives
            maps.append(block.attention.weights(block.norm_attention(x), context)[0])
            x = block(x, context)
        return torch.stack(maps).float().cpu().numpy()


@dataclass(eq=False, repr=False)
class TransformerShape:
    """How large a network of blocks is.

    Args:
        hidden_size: d, of the embeddings and the states.
        n_layers: blocks.
        n_heads: must divide ``hidden_size``.
        ffn_size: inside the feed-forward nets; None is the published size.
    """

    hidden_size: int = 64
    n_layers: int = 2
    n_heads: int = 1
    ffn_size: int | None = None


@dataclass(eq=False, repr=False)
class SASRec(NextItemRecommender, TransformerShape):
    """Self-attention over the latest items; the last state scores the catalogue.

    The defaults are the published configuration with cross-entropy over the whole catalogue. The
    item embeddings are read at the entry and scored with at the exit (shared), dropout stands on
    the sum of embeddings, on attention weights, within the feed-forward net and on what each
    branch adds, as published; norms stand before each branch.

    Args: as of ``TransformerShape`` (``ffn_size`` None is d), then of ``NextItemRecommender``.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hidden_size = check_whole("hidden_size", self.hidden_size)
        self.config()  # refuses what does not fit, such as heads that do not divide the size

    def config(self) -> TransformerConfig:
        """Of the blocks."""
        return TransformerConfig(
            hidden_size=self.hidden_size,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            ffn_size=self.ffn_size or self.hidden_size,
            activation="relu",
            dropout=self.dropout,
        )

    def _build(self, n_items: int) -> SASRecNetwork:
        return SASRecNetwork(n_items, self.max_length, self.config())

    def attention_maps(self, histories: Histories) -> list[np.ndarray]:
        """Which item looks at which, in each block and head: for pictures.

        Args:
            histories: of this model's catalogue; of each the latest ``max_length`` items are read.

        Returns:
            For each history ``(n_layers, n_heads, time, time)`` float32: row i is the place, among
            the items that are read, of the one that looks; it looks at columns 0 to i, and the
            weights of a row add up to 1.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the histories were made for another catalogue.
        """
        self._require_fitted()
        self._require_same_catalogue(histories.item_ids)
        weight = self._network.items.weight
        starts, ends = histories.offsets[:-1], histories.offsets[1:]
        return [
            self._network.attention_maps(
                torch.from_numpy(
                    histories.items[max(start, end - self.max_length) : end].astype(np.int64)
                ).to(weight.device)
            )
            for start, end in zip(starts, ends, strict=True)
        ]
