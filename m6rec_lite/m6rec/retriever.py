"""M6-Rec's retrieval as a recommender."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import Card, DataError, Dataset
from m6rec_lite.language.text.behaviour import ALL_PARTS, BehaviourText
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig, shape_of
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.retriever_network import RetrieverNetwork, gap_codes
from m6rec_lite.m6rec.tasks.retrieval import Retrieval
from m6rec_lite.recommenders.content import unit_rows
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch, NextItemBatches, Window
from m6rec_lite.training import Epoch

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
        self, train: Interactions, *, items: pd.DataFrame | None = None, **extras: Any
    ) -> None:
        self._tokenizer: Tokenizer | None = None
        self._words: sparse.csr_array | None = None
        if self.item_input != "ids" or self.model is not None:
            texts = self._texts(train.item_ids, items)
            if self.model is not None:
                self._tokenizer = Tokenizer.load(self.model)
            else:
                self._tokenizer = Tokenizer.train(dict.fromkeys(texts), self.vocab_size)
            if self.item_input != "ids":
                self._words = word_shares(texts, self._tokenizer)
        self._config: M6RecConfig | None = None
        super()._fit(train, **extras)

    def _texts(self, item_ids: np.ndarray, items: pd.DataFrame | None) -> list[str]:
        """Return the text of each item of the catalogue."""
        if items is None:
            raise DataError(f"{self.name} reads items: call fit(train, items=dataset.items)")
        missing = np.setdiff1d(item_ids, items["item_id"])
        if len(missing):
            raise DataError(
                f"the items table lacks {len(missing)} of the items of train, such as "
                f"{missing[:5].tolist()}: give the table of the data set that train comes from"
            )
        used = items[items["item_id"].isin(item_ids)].drop_duplicates("item_id")
        text = BehaviourText(_as_dataset(used))
        return [text.item(item, parts=self.parts) for item in item_ids]

    def _build(self, n_items: int) -> RetrieverNetwork:
        if self._config is not None:  # of a saved model
            model = M6RecModel(self._config)
        elif self.model is not None:
            model = M6RecModel.from_pretrained(self.model, dropout=self.dropout)
            assert self._tokenizer is not None  # loaded by _fit
            model.config.check_tokenizer(self._tokenizer)
            model.train()
        elif self._tokenizer is not None:
            config = M6RecConfig.of_size(self.size, self._tokenizer, dropout=self.dropout)
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
        times = {"gaps": self.use_time_gaps, "now": self.use_query_time}
        return RetrieverNetwork(model, retrieval, self._words, ids, dropout=self.dropout, **times)

    def _batches(self, histories: Histories) -> EventBatches:
        network = self._network
        assert isinstance(network, RetrieverNetwork)
        follows = np.flatnonzero(np.diff(histories.rows) == 0) + 1
        network.retrieval.count(histories.items[follows])
        return EventBatches(
            histories,
            batch_size=self.batch_size,
            max_length=self.max_length,
            window=self.window,
        )

    def _loss(self, network: RetrieverNetwork, batch: Batch) -> Tensor:
        return network.loss(batch, mask_history=self._masks_history)

    def _state(self) -> dict[str, Any]:
        assert self._config is not None  # set by _build
        return super()._state() | {"config": np.array(json.dumps(self._config.to_dict()))}

    def _read_shape(self, state: dict[str, Any], weights: dict[str, Tensor], path: Path) -> None:
        if "config" not in state:
            raise DataError(f"{path / 'arrays.npz'} lacks the model's shape; save the model again")
        self._config = M6RecConfig.from_dict(json.loads(str(state["config"])))
        self._words = None
        if self.item_input != "ids":
            parts = tuple(weights[name].numpy() for name in ("shares", "tokens", "starts"))
            shape = len(weights["starts"]) - 1, self._config.vocab_size
            self._words = sparse.csr_array(parts, shape=shape)


class EventBatches(NextItemBatches):
    """``NextItemBatches`` with the classes of time gaps of events, ``before`` and ``after``."""

    def __init__(
        self, histories: Histories, *, batch_size: int, max_length: int, window: Window = "latest"
    ) -> None:
        super().__init__(histories, batch_size=batch_size, max_length=max_length, window=window)
        self._items = self.items
        self.items = np.arange(len(self._items))  # batches of event indices, replaced by items
        self._before, self._after = gap_codes(histories)

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """Return all sequences in a new random order."""
        plan = super().epoch(seed, epoch)
        return Epoch(len(plan), lambda i: self._with_gaps(plan[i]))

    def _with_gaps(self, batch: Batch) -> Batch:
        events, targets = batch["items"].numpy(), batch["targets"].numpy()
        arrays = {
            "items": self._items[events],
            "targets": self._items[targets],
            "before": self._before[events],
            "after": self._after[events],
        }
        tensors = {key: torch.from_numpy(values) for key, values in arrays.items()}
        return {"lengths": batch["lengths"]} | tensors


def word_shares(texts: Sequence[str], tokenizer: Tokenizer) -> sparse.csr_array:
    """Return the TF-IDF weights of each text's tokens, ``(n, vocab_size)``, rows of length 1.

    The IDF is ``ln((1 + n) / (1 + n_with)) + 0.01``; with the 0.01 no text has only zero weights.
    """
    rows = tokenizer.encode_batch(texts)
    row_index = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    tokens = np.array([token for row in rows for token in row], dtype=np.int64)
    shape = len(rows), tokenizer.vocab_size
    counts = sparse.coo_array((np.ones(len(tokens)), (row_index, tokens)), shape=shape).tocsr()
    counts.sum_duplicates()
    n_with = np.bincount(counts.indices, minlength=shape[1])
    counts.data = counts.data * (np.log((1 + len(rows)) / (1 + n_with)) + 0.01)[counts.indices]
    return sparse.csr_array(unit_rows(counts))


def _as_dataset(items: pd.DataFrame) -> Dataset:
    """Return a table of items as a dataset without events, for ``BehaviourText``."""
    empty = {key: np.zeros(0, dtype=np.int64) for key in ("user_id", "item_id", "timestamp")}
    rows = pd.DataFrame({**empty, "event": np.zeros(0, dtype=object)})
    users = pd.DataFrame({"user_id": np.zeros(0, dtype=np.int64)})
    return Dataset("the items given", rows, items, users, Card("", "", ""))
