"""M6-Rec's retrieval as a recommender."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.language.text.behaviour import ALL_PARTS
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig, shape_of
from m6rec_lite.m6rec.item_text import ItemText, item_texts
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.retriever_batches import EventBatches
from m6rec_lite.m6rec.retriever_network import RetrieverNetwork
from m6rec_lite.m6rec.retriever_parts import linear_weights
from m6rec_lite.m6rec.tasks.retrieval import Retrieval
from m6rec_lite.m6rec.user_attributes import UserAttributes
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch
from m6rec_lite.training import History

#: The input for an item: its text, an embedding of its id, or both.
ItemInput = Literal["text", "ids", "both"]
ITEM_INPUTS: tuple[ItemInput, ...] = ("text", "ids", "both")


@dataclass(eq=False, repr=False)
class RetrieverShape:
    """The input of the retriever and the size of its model.

    Args:
        item_input: ``text``, ``ids`` or ``both``. An item without training rows has its text only.
        model: folder of a pretrained model and its tokenizer; None for a new model.
        size: of a new model, see ``m6rec.config.shape_of``.
        vocab_size: of a new tokenizer.
        parts: of an item's text, of ``behaviour.ALL_PARTS``.
        use_time_gaps: embed the time between the events of a history.
        use_query_time: embed the time between the last event and the query as well. The model is
            then *time-aware*: compare it with other time-aware models.
        dimensions: of the user and item vectors.
        tau: temperature of the softmax.
        logq_correction: subtract the log-probability of each item in a batch from its score.
        long_memory: add a map of a decayed bag of all events of the history to the user vector; the
            blocks read ``max_length`` events only.
        use_attributes: add embeddings of the user's attributes, from ``fit(users=...)``, to the
            user vector. They are looked up by the ``user_ids`` of the histories; a user without a
            row in the table has none. The table is saved with the model.
        linear: add the scores of ``EASE(decay=0.8)``, fitted to the training rows, with a learned
            weight (wide and deep). The item-to-item weights are saved with the model.
    """

    item_input: ItemInput = "both"
    model: str | None = None
    size: str = "nano"
    vocab_size: int = 2048
    parts: Sequence[str] = ALL_PARTS
    use_time_gaps: bool = True
    use_query_time: bool = False
    dimensions: int = 128
    tau: float = 0.07
    logq_correction: bool = True
    long_memory: bool = False
    use_attributes: bool = False
    linear: bool = False


@dataclass(eq=False, repr=False)
class M6RecRetriever(SequenceRecommender, RetrieverShape):
    """Retrieval by two towers, at the cost of a sequence model.

    Attention over the events is causal, with a target at every event. Each item's text is pooled
    into one vector, the TF-IDF weighted sum of its tokens' embeddings, since encoding the whole
    text for each target is too slow on a CPU. The full-text variant is the task
    ``tasks.Retrieval``.

    Args: as of ``RetrieverShape``, then of ``SequenceRecommender``. The loss is in-batch softmax:
        the negatives of a target are the other items of its batch.

    Raises:
        ValueError: on a setting out of range.
    """

    max_length: int = 50
    epochs: int = 20
    lr: float = 3e-3
    lr_floor: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.item_input not in ITEM_INPUTS:
            options = ", ".join(ITEM_INPUTS)
            raise ValueError(f"item_input must be one of {options}, got {self.item_input!r}")
        for name in ("vocab_size", "dimensions"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        check_in_range("tau", self.tau, 0, open_low=True)
        self.parts = tuple(self.parts)
        if unknown := [part for part in self.parts if part not in ALL_PARTS]:
            raise ValueError(f"parts must be of {', '.join(ALL_PARTS)}, got {unknown[0]!r}")

    def _fit(
        self,
        train: Interactions,
        *,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        **extras: Any,
    ) -> None:
        self._attributes: UserAttributes | None = None
        if self.use_attributes:
            self._attributes = UserAttributes.fit(self.name, train.user_ids, users)
        self._linear_weights = linear_weights(train) if self.linear else None
        self._text: ItemText | None = None
        self._words: sparse.csr_array | None = None
        if self.item_input != "ids" or self.model is not None:
            texts = item_texts(self.name, train.item_ids, items, self.parts)
            if self.model is not None:
                tokenizer = Tokenizer.load(self.model)
            else:
                tokenizer = Tokenizer.train(dict.fromkeys(texts), self.vocab_size)
            self._text = ItemText.fit(texts, tokenizer)
            if self.item_input != "ids":
                self._words = self._text.shares(texts)
        self._config: M6RecConfig | None = None
        super()._fit(train, **extras)

    def for_catalogue(
        self,
        item_ids: np.ndarray,
        *,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
    ) -> Self:
        """Return a copy of the fitted model for another catalogue, and other users.

        Items of the model's own catalogue keep their vectors and their weights in the linear path.
        Others are described by their text only: they have no popularity, and weights of 0.

        Args:
            item_ids: ``(n,)`` original ids, ascending, such as ``split.item_ids``.
            items: table of items with ``item_id`` and texts; needed unless ``item_input`` is
                ``ids``.
            users: table of users with ``user_id`` for ``use_attributes``, which replaces that of
                ``fit``; values that were not learned count as missing. None keeps that of ``fit``:
                pass a table if the ids of the histories mean other users.

        Raises:
            NotFittedError: before ``fit``.
            DataError: if a model of ids is given an item that it does not know, or the table lacks
                an item.
        """
        self._require_fitted()
        old, ids = self._fitted_item_ids, np.asarray(item_ids)
        index = np.searchsorted(old, ids).clip(max=len(old) - 1)
        is_known = old[index] == ids
        if self.item_input == "ids" and not is_known.all():
            raise DataError(
                f"{int((~is_known).sum())} items are not in the catalogue of the model, such as "
                f"{ids[~is_known][:5].tolist()}; a model with item_input='ids' knows no others"
            )
        model = type(self)(**self.get_params(deep=False))
        model._text, model._words, model._config = self._text, None, self._config
        if self._text is not None and self.item_input != "ids":
            model._words = self._text.shares(item_texts(self.name, ids, items, self.parts))
        model._attributes = self._attributes
        if self._attributes is not None and users is not None:
            model._attributes = self._attributes.of(users)
        model._linear_weights = None
        if (pairs := self._pairs()) is not None:
            model._linear_weights = pairs[np.ix_(index, index)] * np.outer(is_known, is_known)
        model._trained, model.history = self._trained, History()
        model.popularity_ = np.where(is_known, self.popularity_[index], 0.0)
        with torch.random.fork_rng():
            network = model._build(len(ids))
        weights = self._network.state_dict()
        if "ids.weight" in weights:
            known = torch.from_numpy(is_known).to(weights["ids.weight"].device)[:, None]
            weights["ids.weight"] = weights["ids.weight"][torch.from_numpy(index)] * known
        own = network.state_dict()
        for key in ("tokens", "starts", "shares", "retrieval.log_share", "linear.weights"):
            if key in own:
                weights[key] = own[key]
        network.load_state_dict(weights)
        model._network = network.to(next(self._network.parameters()).device).eval()
        model.item_ids = ids
        return model

    def _build(self, n_items: int) -> RetrieverNetwork:
        if self._config is not None:  # of a saved model
            model = M6RecModel(self._config)
        elif self.model is not None:
            model = M6RecModel.from_pretrained(self.model, dropout=self.dropout)
            assert self._text is not None  # made by _fit
            model.config.check_tokenizer(self._text.tokenizer)
            model.train()
        elif self._text is not None:
            tokenizer = self._text.tokenizer
            config = M6RecConfig.of_size(self.size, tokenizer, dropout=self.dropout)
            model = M6RecModel(config)
        else:  # ids need no text
            shape = shape_of(self.size)
            config = M6RecConfig(vocab_size=len(SPECIALS), dropout=self.dropout, **shape)
            model = M6RecModel(config)
        self._config = model.config
        retrieval = Retrieval(
            model.config.hidden_size, n_items, self.dimensions, self.tau, self.logq_correction
        )
        ids = self.item_input != "text"
        linear = self._linear_weights
        if self.linear and linear is None:  # of a saved model: the weights are read afterwards
            linear = np.zeros((n_items, n_items), dtype=np.float32)
        return RetrieverNetwork(
            model,
            retrieval,
            self._words,
            ids,
            gaps=self.use_time_gaps,
            now=self.use_query_time,
            dropout=self.dropout,
            long_memory=self.long_memory,
            attributes=self._attributes,
            linear=linear,
        )

    def _batches(self, histories: Histories) -> EventBatches:
        network = self._network
        assert isinstance(network, RetrieverNetwork)
        follows = np.flatnonzero(np.diff(histories.rows) == 0) + 1
        network.retrieval.count(histories.items[follows])
        attributes = self._attributes
        return EventBatches(
            histories,
            batch_size=self.batch_size,
            max_length=self.max_length,
            window=self.window,
            earlier=self.long_memory or self.linear,
            profiles=None if attributes is None else attributes.profiles(histories.user_ids),
        )

    def _loss(self, network: RetrieverNetwork, batch: Batch) -> Tensor:
        return network.loss(batch, mask_history=self._masks_history)

    def _state(self) -> dict[str, Any]:
        assert self._config is not None  # set by _build
        state = super()._state() | {"config": np.array(json.dumps(self._config.to_dict()))}
        if self._attributes is not None:
            state |= self._attributes.state()
        return state if self._text is None else state | self._text.state()

    def _count_params(self) -> int:
        pairs = self._pairs()
        return super()._count_params() + (0 if pairs is None else int(np.count_nonzero(pairs)))

    def _pairs(self) -> np.ndarray | None:
        """Return the ``(n_items, n_items)`` weights of the linear path, or None."""
        network = self._network
        assert isinstance(network, RetrieverNetwork)
        return None if network.linear is None else network.linear.weights.cpu().numpy()

    def _read_shape(self, state: dict[str, Any], weights: dict[str, Tensor], path: Path) -> None:
        if "config" not in state:
            raise DataError(f"{path / 'arrays.npz'} lacks the model's shape; save the model again")
        self._config = M6RecConfig.from_dict(json.loads(str(state["config"])))
        self._words = None
        self._text = ItemText.from_state(state) if "tokenizer" in state else None
        self._attributes, self._linear_weights = None, None
        if self.use_attributes:
            if "attribute_values" not in state:
                raise DataError(f"{path / 'arrays.npz'} lacks the attributes; save the model again")
            self._attributes = UserAttributes.from_state(state)
        if self.item_input != "ids":
            parts = tuple(weights[name].numpy() for name in ("shares", "tokens", "starts"))
            shape = len(weights["starts"]) - 1, self._config.vocab_size
            self._words = sparse.csr_array(parts, shape=shape)
