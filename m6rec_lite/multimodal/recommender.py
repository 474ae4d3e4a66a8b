"""A recommender that reads ids, texts and pictures of items, and the context of the query."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from m6rec_lite.data.holdout import Holdout
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.multimodal.context import CONTEXT_PARTS, ContextTable
from m6rec_lite.multimodal.fusion import FUSIONS
from m6rec_lite.multimodal.item_encoder import MODALITIES, ItemEncoder, ItemInputs
from m6rec_lite.multimodal.network import ContextBatches, MultimodalNetwork
from m6rec_lite.multimodal.picture_encoders import PICTURE_ENCODERS, pretrained_features
from m6rec_lite.multimodal.pictures import picture_column
from m6rec_lite.nn.transformer import TransformerConfig
from m6rec_lite.recommenders.content import catalogue_table, item_texts
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches
from m6rec_lite.training import Callback

#: Size of the tokenizer, which is trained on the texts; maximum number of tokens of a text.
VOCAB_SIZE, TEXT_LENGTH = 2048, 32


@dataclass(eq=False, repr=False)
class MultimodalShape:
    """What the recommender reads, and its size.

    Args:
        modalities: of ``MODALITIES``: ``id``, ``text``, ``picture``. Items without training rows
            have no id; an item may lack a text or a picture.
        fusion: ``"cross-attention"`` or ``"mlp"``, of the modalities and of the context.
        picture_encoder: ``"vit"``, ``"cnn"``, or ``"pretrained"``, see ``pretrained_features``.
        context: parts of the query's context, of ``CONTEXT_PARTS``. With any of them the model is
            time-aware: compare it with other time-aware models.
        modality_dropout: rate of ``drop_modalities`` in training.
        columns: text columns of the table of items.
        hidden_size: length of all vectors.
        n_layers: number of blocks over the events.
        n_heads: number of attention heads; must divide ``hidden_size``.
        tau: temperature of the softmax.
    """

    modalities: Sequence[str] = ("text", "picture")
    fusion: str = "cross-attention"
    picture_encoder: str = "vit"
    context: Sequence[str] = ()
    modality_dropout: float = 0.0
    columns: Sequence[str] = ("title", "tags")
    hidden_size: int = 32
    n_layers: int = 2
    n_heads: int = 4
    tau: float = 0.2


@dataclass(eq=False, repr=False)
class MultimodalRecommender(SequenceRecommender, MultimodalShape):
    """Predict the next item from the vectors of the history's items, encoded from their content.

    The items are encoded anew in each training step, so that the picture encoder is trained too.
    Items without training rows are no negatives.

    Args: as of ``MultimodalShape``, then of ``SequenceRecommender``.

    Raises:
        ValueError: on a setting out of range.
    """

    max_length: int = 40
    dropout: float = 0.0
    epochs: int = 6
    lr: float = 5e-3
    lr_floor: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        options = {
            "modalities": MODALITIES, "context": CONTEXT_PARTS,
            "fusion": tuple(FUSIONS), "picture_encoder": (*PICTURE_ENCODERS, "pretrained"),
        }  # fmt: skip
        for name, known in options.items():
            value = getattr(self, name)
            given = (value,) if isinstance(value, str) else tuple(value)
            if unknown := [one for one in given if one not in known]:
                raise ValueError(f"{name} takes {', '.join(known)}, not {unknown[0]!r}")
            if name not in ("fusion", "picture_encoder"):
                setattr(self, name, given)
        self.columns = (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)
        if not self.modalities:
            raise ValueError(f"modalities needs at least one of {', '.join(MODALITIES)}")
        check_in_range("tau", self.tau, 0, open_low=True)
        check_in_range("modality_dropout", self.modality_dropout, 0, 1)
        for name in ("hidden_size", "n_layers", "n_heads"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        self._config()  # checks that the heads divide the size
        self._context: ContextTable | None = None
        self._hide: tuple[str, ...] = ()

    def fit(
        self,
        train: Interactions,
        *,
        validation: Holdout | None = None,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        weather: pd.DataFrame | None = None,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> Self:
        """Train the network; the arguments are those of ``SequenceRecommender.fit``, and tables.

        Args:
            items: table of items with texts, and pictures as ``picture_column`` reads them.
            users: table of users with ``city``, for the context ``place`` and ``weather``.
            weather: table of the weather by ``city`` and ``date``, for the context ``weather``.

        Raises:
            DataError: if a table lacks what the model reads, or no item has a modality.
        """
        self._context = ContextTable.fit(self.context, users, weather) if self.context else None
        settings: dict[str, Any] = {"checkpoint": checkpoint, "callbacks": callbacks}
        settings |= {"validation": validation, "users": users, "progress": progress}
        return super().fit(train, items=items, **settings)

    def _fit(
        self, train: Interactions, *, items: pd.DataFrame | None = None, **extras: Any
    ) -> None:
        extras.pop("users")  # read by ``fit``
        self._inputs = self._read_items(train, items)
        super()._fit(train, **extras)
        del self._inputs  # the network has them

    def without(self, *modalities: str) -> Self:
        """Return a copy of the fitted model that scores with some modalities of all items missing.

        Raises:
            ValueError: if a modality is not one of the model's, or none is left.
        """
        self._require_fitted()
        if not {*modalities} < {*self.modalities}:
            raise ValueError(f"without() takes some of {self.modalities}, got {modalities}")
        model = copy.copy(self)
        model._hide = modalities
        return model

    def _read_items(self, train: Interactions, items: pd.DataFrame | None) -> ItemInputs:
        """Return the inputs of the catalogue of ``train``."""
        n, vocab_size = train.n_items, 1
        tokens = torch.full((n, 0), -1)
        pictures, pictured = np.zeros((n, 0, 0, 3), dtype=np.uint8), np.zeros(n, dtype=bool)
        if "text" in self.modalities:
            texts = item_texts(catalogue_table(items, train, self.name), self.columns)
            if not any(text.strip() for text in texts):
                raise DataError(
                    f"no item has a text in the columns {list(self.columns)}: leave 'text' out "
                    "of the modalities"
                )
            tokenizer = Tokenizer.train(dict.fromkeys(texts), VOCAB_SIZE)
            rows = [torch.tensor(ids, dtype=torch.int64) for ids in tokenizer.encode_batch(texts)]
            tokens = pad_sequence(rows, batch_first=True, padding_value=-1)[:, :TEXT_LENGTH]
            vocab_size = tokenizer.vocab_size
        if "picture" in self.modalities:
            pictures, pictured = picture_column(catalogue_table(items, train, self.name))
            if self.picture_encoder == "pretrained":
                pictures = pretrained_features(pictures)
        trained = np.bincount(train.items, minlength=n) > 0
        return ItemInputs(trained, tokens.numpy(), vocab_size, pictures, pictured)

    def _config(self) -> TransformerConfig:
        return TransformerConfig(
            self.hidden_size, n_layers=self.n_layers, n_heads=self.n_heads, dropout=self.dropout
        )

    def _build(self, n_items: int) -> MultimodalNetwork:
        encoder = ItemEncoder(
            self._inputs,
            self.modalities,
            self._config(),
            fusion=self.fusion,
            picture_encoder=self.picture_encoder,
            modality_dropout=self.modality_dropout,
        )
        return MultimodalNetwork(
            encoder, self._config(), self.max_length, self._context, self.fusion, self.tau
        )

    def _batches(self, histories: Histories) -> NextItemBatches:
        settings: dict[str, Any] = {
            "batch_size": self.batch_size, "max_length": self.max_length, "window": self.window,
        }  # fmt: skip
        if self._context is None:
            return NextItemBatches(histories, **settings)
        return ContextBatches(histories, self._context, **settings)

    def _loss(self, network: MultimodalNetwork, batch: Batch) -> Tensor:
        return network.loss(batch, mask_history=self._masks_history)

    def _score(self, histories: Histories) -> np.ndarray:
        network = self._network
        assert isinstance(network, MultimodalNetwork)
        network.hide = self._hide
        return super()._score(histories)

    def _state(self) -> dict[str, Any]:
        context = {} if self._context is None else self._context.state()
        return super()._state() | context

    def _read_shape(self, state: dict[str, Any], weights: dict[str, Tensor], path: Path) -> None:
        names = [f"items.{name}" for name in ("trained", "tokens", "pictures", "pictured")]
        if not {*names} <= weights.keys():
            raise DataError(f"{path / 'arrays.npz'} lacks the items; save the model again")
        trained, tokens, pictures, pictured = (weights[name].numpy() for name in names)
        vocab_size = len(weights.get("items.words.weight", "1"))
        self._inputs = ItemInputs(trained, tokens, vocab_size, pictures, pictured)
        self._context = ContextTable.from_state(state) if self.context else None
