"""SASRec: a causal Transformer that predicts the next item of a history.

Source: Kang and McAuley, *Self-attentive sequential recommendation*, 2018. The published loss is
binary cross-entropy with one negative. Cross-entropy over the whole catalogue gives better rankings
(Klenitskiy and Vasilev, *Turning dross into gold loss: is BERT4Rec really better than
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
from m6rec_lite.nn.transformer import Block, Transformer, TransformerConfig
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.next_item_network import NextItemNetwork


class SASRecNetwork(NextItemNetwork):
    """The network of SASRec: item and position embeddings, then causal Transformer blocks.

    Positions count from the end: position 0 is the latest item.

    Args:
        n_items: size of the catalogue.
        max_length: number of positions.
        config: configuration of the Transformer.
    """

    def __init__(self, n_items: int, max_length: int, config: TransformerConfig) -> None:
        super().__init__(n_items, config.hidden_size)
        self.positions = LearnedPositions(max_length, config.hidden_size)
        self.dropout = Dropout(config.dropout)
        self.transformer = Transformer(config)
        for module in self.transformer.modules():
            if isinstance(module, nn.Linear):  # small: the blocks start near the identity
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, items: Tensor, packing: Packing) -> Tensor:
        """Map ``(tokens,)`` items to ``(tokens, hidden_size)`` states, with causal attention."""
        return self.transformer(self.embed(items, packing.steps_back), causal=True, packing=packing)

    def embed(self, items: Tensor, steps_back: Tensor) -> Tensor:
        """Return the ``(tokens, hidden_size)`` input of the first block."""
        x = self.items(items) * math.sqrt(self.items.embedding_dim)
        return self.dropout(x + self.positions(steps_back))

    @torch.no_grad()
    def attention_maps(self, items: Tensor) -> np.ndarray:
        """Return ``(n_layers, n_heads, time, time)`` attention weights of ``(time,)`` items."""
        x = self.embed(items, torch.arange(len(items), device=items.device).flip(0))[None]
        maps, context = [], AttentionContext(causal=True)
        for block in self.transformer.blocks:
            assert isinstance(block, Block)
            # pre-norm: the input of the attention is normalised
            maps.append(block.attention.weights(block.norm_attention(x), context)[0])
            x = block(x, context)
        return torch.stack(maps).float().cpu().numpy()


@dataclass(eq=False, repr=False)
class TransformerShape:
    """Size of a Transformer.

    Args:
        hidden_size: size of the embeddings and the states.
        n_layers: number of blocks.
        n_heads: number of attention heads; must divide ``hidden_size``.
        ffn_size: inner size of the feed-forward networks; None is the published size.
    """

    hidden_size: int = 64
    n_layers: int = 2
    n_heads: int = 1
    ffn_size: int | None = None


@dataclass(eq=False, repr=False)
class SASRec(NextItemRecommender, TransformerShape):
    """Predict the next item from the last state of a causal Transformer over the latest items.

    The defaults are the published configuration with cross-entropy over the whole catalogue. As
    published, the input and output embeddings are shared, and dropout is applied to the sum of the
    embeddings, the attention weights, the inner layer of the feed-forward network, and the output
    of each sublayer. The layer norms are before each sublayer.

    The arguments are those of ``TransformerShape`` (``ffn_size=None`` is ``hidden_size``) and
    ``NextItemRecommender``.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hidden_size = check_whole("hidden_size", self.hidden_size)
        self.config()  # checks the arguments, such as heads that do not divide the size

    def config(self) -> TransformerConfig:
        """Return the configuration of the Transformer."""
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
        """Return the attention weights of each block and head, for plots.

        Args:
            histories: histories with the catalogue of the model; the latest ``max_length`` items of
                each are read.

        Returns:
            For each history ``(n_layers, n_heads, time, time)`` float32. Entry (i, j) is the weight
            of item j for the state of item i; rows sum to 1, and entries with j > i are 0.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if the histories belong to another catalogue.
        """
        self._require_fitted()
        self._require_same_catalogue(histories.item_ids)
        network = self._network
        assert isinstance(network, SASRecNetwork)
        device = network.items.weight.device
        starts, ends = histories.offsets[:-1], histories.offsets[1:]
        return [
            network.attention_maps(
                torch.from_numpy(
                    histories.items[max(start, end - self.max_length) : end].astype(np.int64)
                ).to(device)
            )
            for start, end in zip(starts, ends, strict=True)
        ]
