"""Share weights: one block used for every layer, and an embedding as a product of two matrices.

Source: Lan et al., *ALBERT*, 2020, section 3.1. Sharing saves bytes, not time: L layers still run.
An embedding of V tokens in d dimensions has V d numbers, of rank r only r (V + d). Such models are
stored by ``save_compressed``; ``save_pretrained`` does not know their shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.m6rec.model import M6RecModel


class RepeatedBlock(nn.Module):
    """One block that takes the place of a list of ``n_layers`` blocks."""

    def __init__(self, block: nn.Module, n_layers: int) -> None:
        super().__init__()
        self.block, self.n_layers = block, n_layers

    def __len__(self) -> int:
        return self.n_layers

    def __iter__(self) -> Iterator[nn.Module]:
        return iter([self.block] * self.n_layers)


class FactorizedEmbedding(nn.Module):
    """An embedding of tokens ``E = A B``, with A of ``rank`` columns."""

    def __init__(self, vocab_size: int, rank: int, hidden_size: int) -> None:
        super().__init__()
        self.codes = nn.Embedding(vocab_size, rank)  # A
        self.proj = nn.Linear(rank, hidden_size, bias=False)  # B', (hidden_size, rank)

    @property
    def weight(self) -> Tensor:
        """The whole matrix, ``(vocab_size, hidden_size)``."""
        return self.codes.weight @ self.proj.weight.T

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors of tokens, ``(..., hidden_size)``."""
        return self.proj(self.codes(ids))


class TiedHead(nn.Module):
    """Logits of tokens by the rows of an embedding that computes its ``weight``."""

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        self._embedding = (embedding,)  # in a tuple: a module would be registered twice

    @property
    def weight(self) -> Tensor:
        """The weight of the embedding."""
        return self._embedding[0].weight

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, ``(..., vocab_size)``."""
        return F.linear(x, self.weight)


def share_layers(model: M6RecModel) -> M6RecModel:
    """Use the first block in place of all, in place; the others are lost. Return the model."""
    blocks = list(model.blocks)
    model.blocks = RepeatedBlock(blocks[0], len(blocks))  # type: ignore[assignment]
    return model


@torch.no_grad()
def factorize_embedding(model: M6RecModel, rank: int = 128) -> M6RecModel:
    """Replace a model's embedding, and so its head, by a product of two matrices; return the model.

    The product is the best approximation of that rank (singular value decomposition, Eckart and
    Young, 1936), so a trained model may be factorized too.
    """
    weight = model.embedding.weight.detach()
    vocab_size, hidden_size = weight.shape
    if not 1 <= rank < hidden_size:
        wanted = f"rank must be at least 1 and below hidden_size {hidden_size}"
        raise ValueError(f"{wanted}, got {rank!r}: a larger one saves nothing")
    left, scale, right = torch.linalg.svd(weight.double(), full_matrices=False)
    root = scale[:rank].sqrt()  # split evenly, so that both parts learn at similar rates
    embedding = FactorizedEmbedding(vocab_size, rank, hidden_size).to(weight)
    embedding.codes.weight.copy_(left[:, :rank] * root)
    embedding.proj.weight.copy_(right[:rank].T * root)
    replace_embedding(model, embedding)
    return model


def replace_embedding(model: M6RecModel, embedding: nn.Module) -> None:
    """Give a model another embedding, and a head that uses its weight."""
    model.embedding = embedding  # type: ignore[assignment]
    model.head = TiedHead(embedding)  # type: ignore[assignment]
