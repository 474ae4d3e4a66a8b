"""The full-text retriever: M6-Rec's retrieval as in the paper, as a recommender."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.language.text.behaviour import ALL_PARTS
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.full_text_network import FullTextBatches, FullTextNetwork
from m6rec_lite.m6rec.full_text_regions import RegionBuilder, RegionSettings
from m6rec_lite.m6rec.item_text import items_of_catalogue
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.retrieval import Retrieval
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch


@dataclass(eq=False, repr=False)
class FullTextShape:
    """The text that the full-text retriever reads, and the size of its model.

    Args:
        model: folder of a pretrained model and its tokenizer; None for a new model.
        size: of a new model, see ``m6rec.config.shape_of``.
        vocab_size: of a new tokenizer.
        templates: how events are verbalized, see ``BehaviourText``; those of the pretrained model.
        parts: of an item's region, of ``behaviour.ALL_PARTS``. Events have those of the templates.
        use_time_gaps: write the time since the previous event. The query time is never read.
        max_tokens: maximum length of a region; the oldest events are left out.
        targets_per_user: targets of each user in an epoch, drawn anew in each.
        dimensions: of the user and item vectors.
        tau: temperature of the softmax.
        logq_correction: subtract the log-probability of each item in a batch from its score.
    """

    model: str | None = None
    size: str = "nano"
    vocab_size: int = 2048
    templates: str = "compact"
    parts: Sequence[str] = ALL_PARTS
    use_time_gaps: bool = True
    max_tokens: int = 256
    targets_per_user: int = 1
    dimensions: int = 128
    tau: float = 0.07
    logq_correction: bool = True


@dataclass(eq=False, repr=False)
class FullTextRetriever(SequenceRecommender, FullTextShape):
    """Full-text retriever: two towers of one M6-Rec that read the whole text.

        user   [BOS'] [USER] the user [EVENT] … the latest events [EOS']   -> state at [EOS']
        item   [BOS] [ITEM] the item [EOS]                                 -> state at [EOS]

    ``M6RecRetriever`` pools the text of each item into one vector and has a target at every event.
    Here attention is over all tokens of the user region, in both directions, so that a row has one
    target: a random event of the history in each epoch. That costs about as many times more as a
    history has events, for the same number of targets. ``fit`` uses the attributes of ``users`` if
    the table is given; they are saved with the model.

    Source: M6-Rec (Cui et al., 2022, section 3); the task is ``tasks.Retrieval``.

    Args: as of ``FullTextShape``, then of ``SequenceRecommender``, of which ``window`` has no
        effect. ``max_length`` is the number of latest events that are read. The loss is in-batch
        softmax: the negatives of a target are the other targets of its batch.

    Raises:
        ValueError: on a setting out of range.
    """

    max_length: int = 16
    dropout: float = 0.1
    epochs: int = 20
    lr: float = 2e-3
    lr_floor: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("vocab_size", "dimensions", "max_tokens", "targets_per_user"):
            setattr(self, name, check_whole(name, getattr(self, name)))
        if self.max_tokens < 16:
            raise ValueError(f"max_tokens must be at least 16, got {self.max_tokens!r}")
        check_in_range("tau", self.tau, 0, open_low=True)
        self.parts = tuple(self.parts)
        if unknown := [part for part in self.parts if part not in ALL_PARTS]:
            raise ValueError(f"parts must be of {', '.join(ALL_PARTS)}, got {unknown[0]!r}")

    @property
    def _region_settings(self) -> RegionSettings:
        return RegionSettings(
            self.templates,
            tuple(self.parts),
            self.use_time_gaps,
            self.max_length,
            self.max_tokens,
        )

    def _fit(
        self,
        train: Interactions,
        *,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        **extras: Any,
    ) -> None:
        table = items_of_catalogue(self.name, train.item_ids, items)
        settings = self._region_settings
        if self.model is not None:
            tokenizer = Tokenizer.load(self.model)
        else:
            tokenizer = RegionBuilder.train_tokenizer(
                table, users, train.histories(), settings, self.vocab_size
            )
        self._regions = RegionBuilder(table, users, train.item_ids, settings, tokenizer)
        self._config: M6RecConfig | None = None
        super()._fit(train, **extras)

    def _build(self, n_items: int) -> FullTextNetwork:
        tokenizer = self._regions.tokenizer
        if self._config is not None:  # of a saved model
            model = M6RecModel(self._config)
        elif self.model is not None:
            model = M6RecModel.from_pretrained(self.model, dropout=self.dropout)
            model.config.check_tokenizer(tokenizer)
            model.train()
        else:
            changes = {"dropout": self.dropout, "max_position_embeddings": self.max_tokens}
            model = M6RecModel(M6RecConfig.of_size(self.size, tokenizer, **changes))
        self._config = model.config
        retrieval = Retrieval(
            model.config.hidden_size, n_items, self.dimensions, self.tau, self.logq_correction
        )
        return FullTextNetwork(model, retrieval, self._regions)

    def _batches(self, histories: Histories) -> FullTextBatches:
        network = self._network
        assert isinstance(network, FullTextNetwork)
        may = np.flatnonzero(np.diff(histories.rows) == 0) + 1
        share = 1.0 / (histories.lengths[histories.rows[may]] - 1)  # users count alike
        network.retrieval.count(histories.items[may], share)
        return FullTextBatches(
            histories,
            network.regions.encode(histories),
            network.regions.written,
            batch_size=self.batch_size,
            targets_per_user=self.targets_per_user,
        )

    def _loss(self, network: FullTextNetwork, batch: Batch) -> Tensor:
        return network.loss(batch, mask_history=self._masks_history)

    def _state(self) -> dict[str, Any]:
        assert self._config is not None  # set by _build
        state = super()._state() | {"config": np.array(json.dumps(self._config.to_dict()))}
        return state | self._regions.state()

    def _read_shape(self, state: dict[str, Any], weights: dict[str, Tensor], path: Path) -> None:
        if missing := {"config", "tokenizer", "items"} - set(state):
            raise DataError(f"{path / 'arrays.npz'} lacks {sorted(missing)}; save the model again")
        self._config = M6RecConfig.from_dict(json.loads(str(state["config"])))
        self._regions = RegionBuilder.from_state(
            state, self._fitted_item_ids, self._region_settings
        )
