"""Encode the items of a catalogue from several modalities: id, text and picture."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from m6rec_lite.multimodal.fusion import FUSIONS, drop_modalities
from m6rec_lite.multimodal.picture_encoders import PICTURE_ENCODERS
from m6rec_lite.nn.transformer import TransformerConfig

#: What an item can be read from. An item without training rows has no id.
MODALITIES: tuple[str, ...] = ("id", "text", "picture")
#: Initial size of the vectors of ids, words, regions of pictures, and values of the context.
SPREAD = 0.02


@dataclass(frozen=True, eq=False)
class ItemInputs:
    """Inputs of a catalogue of n items.

    Attributes:
        trained: ``(n,)`` bool: items with training rows, whose ids have an embedding.
        tokens: ``(n, length)`` int64 token ids of the texts, -1 after the end.
        vocab_size: size of the tokenizer.
        pictures: ``(n, side, side, 3)`` uint8, or ``(n, regions, features)`` float32.
        pictured: ``(n,)`` bool: items that have a picture.
    """

    trained: np.ndarray
    tokens: np.ndarray
    vocab_size: int
    pictures: np.ndarray
    pictured: np.ndarray


class ItemEncoder(nn.Module):
    """One vector for each item: a learned query attends to the tokens of its modalities.

    The id is one token, the text one for each of its tokens, the picture one for each region. The
    mean vector of the catalogue is subtracted: what all items share ranks none of them.

    Args:
        inputs: of the catalogue.
        config: length of the vectors, heads and dropout rate.

    The other arguments are those of ``MultimodalShape``.
    """

    trained: Tensor
    tokens: Tensor
    pictures: Tensor
    pictured: Tensor
    picture: nn.Module

    def __init__(
        self,
        inputs: ItemInputs,
        modalities: Sequence[str],
        config: TransformerConfig,
        *,
        fusion: str = "cross-attention",
        picture_encoder: str = "vit",
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        d = config.hidden_size
        self.modalities, self.modality_dropout = tuple(modalities), modality_dropout
        for name in ("trained", "tokens", "pictures", "pictured"):
            self.register_buffer(name, torch.from_numpy(getattr(inputs, name)))
        self.query = nn.Parameter(torch.zeros(d))
        if "id" in modalities:
            self.ids = nn.Embedding(len(inputs.trained), d)
        if "text" in modalities:
            self.words = nn.Embedding(inputs.vocab_size, d)
        if "picture" in modalities and picture_encoder == "pretrained":
            n_features = inputs.pictures.shape[2]
            self.picture = nn.Sequential(nn.LayerNorm(n_features), nn.Linear(n_features, d))
        elif "picture" in modalities:
            self.picture = PICTURE_ENCODERS[picture_encoder](d, inputs.pictures.shape[1])
        if "picture" in modalities:
            self.scale = nn.Parameter(torch.tensor(SPREAD))  # of the vectors of regions
        for table in self.children():
            if isinstance(table, nn.Embedding):  # words that training never meets add little noise
                nn.init.normal_(table.weight, std=SPREAD)
        # No dropout here: its noise in what items share would outweigh what tells them apart.
        self.fusion = FUSIONS[fusion](self.modalities, d, config.n_heads)
        self.norm = nn.LayerNorm(d)

    def forward(self, hide: Collection[str] = ()) -> Tensor:
        """Return ``(n, hidden_size)`` vectors, with the modalities ``hide`` missing for all."""
        vectors = self.fusion(self.query.expand(len(self.trained), -1), *self.read(hide))
        return self.norm(vectors - vectors.mean(dim=0))

    def read(self, hide: Collection[str] = ()) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the tokens ``(n, k, hidden_size)`` and masks of each modality, for a fusion."""
        masks = {"id": self.trained[:, None], "text": self.tokens >= 0}
        masks["picture"] = self.pictured[:, None]
        present = torch.stack([masks[name].any(dim=1) for name in self.modalities], dim=1)
        if self.training and self.modality_dropout:
            draws = torch.rand(present.shape, device=present.device)
            present = drop_modalities(present, self.modality_dropout, draws)
        tokens = {}
        if "id" in self.modalities:
            tokens["id"] = self.ids.weight[:, None]
        if "text" in self.modalities:
            tokens["text"] = self.words(self.tokens.clamp(min=0))
        if "picture" in self.modalities:
            tokens["picture"] = self.scale * self.picture(self.pictures)
        masks = {
            name: masks[name] & present[:, i, None] & (name not in hide)
            for i, name in enumerate(self.modalities)
        }
        return tokens, masks
