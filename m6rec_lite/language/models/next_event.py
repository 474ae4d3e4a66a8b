"""Score items by the probability that a language model gives to the event with each item.

The prompt is the history as text up to ``[EVENT]``, the token that opens the next event; the
continuation is, for each item, the sentence of an event with it. An item's score is
``ln P(sentence | history)``, the sum over the sentence's tokens (zero-shot ranking of M6-Rec: Cui
et al., 2022, section 3).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from torch import nn

from m6rec_lite.data import Histories
from m6rec_lite.data.ids import as_ids
from m6rec_lite.data.tables import Card, Dataset
from m6rec_lite.language.models.gpt import GPT
from m6rec_lite.language.models.hub import ModelError
from m6rec_lite.language.models.pretraining import Pretrained
from m6rec_lite.language.text.document import Document, encode_documents, shorten
from m6rec_lite.nn.likelihood import log_likelihood
from m6rec_lite.training.devices import make_accelerator

log = logging.getLogger(__name__)

#: Columns of items and users that enter the text.
ITEM_COLUMNS = ("domain", "category", "title", "description", "creator")
USER_COLUMNS = ("age_band", "gender", "city", "occupation", "locale")


def wording(table: pd.DataFrame, key: str) -> dict[str, np.ndarray]:
    """Return the columns of a table that enter the text, as arrays of strings, with the ids.

    Args:
        table: items or users.
        key: ``item`` or ``user``.

    Returns:
        Arrays by column name; missing values are "".
    """
    columns = ITEM_COLUMNS if key == "item" else USER_COLUMNS
    arrays = {f"{key}_id": as_ids(table[f"{key}_id"], f"{key}_id")}
    for column in columns:
        if column in table:
            texts = table[column].astype(object).where(table[column].notna(), "")
            arrays[column] = np.array([str(text) for text in texts], dtype=np.str_)
    return arrays


class EventLikelihood(Protocol):
    """What ranks candidate next events by the likelihood of their sentences.

    Attributes:
        n_tokens: ``(n_items,)`` int64, length of each item's sentence.
    """

    @property
    def gpt(self) -> nn.Module:
        """The language model."""

    n_tokens: np.ndarray

    def log_likelihood(self, histories: Histories, places: np.ndarray) -> np.ndarray:
        """Compute ``ln P(sentence | history)`` of candidate items; see ``NextEvent``."""


class NextEvent:
    """Score candidate next events with a pretrained GPT.

    Args:
        model: a folder written by ``pretrain``, or a name in ``checkpoints/``. Its recipe fixes
            how the text is written.
        items: output of ``wording``, with all items of the histories and the catalogue.
        users: output of ``wording``; None leaves the users out of the text.
        item_ids: ``(n_items,)`` ids of the catalogue, in the order of the item indices.
        event: the type of the next event, one of ``EVENTS``.
        max_tokens: maximum length of a history's text; its oldest events are dropped. None: the
            model's context less the longest sentence.
        batch_tokens: tokens per forward pass; limits the memory.
        device: ``cpu``, ``cuda``, …; None takes the best that is available.

    Attributes:
        n_tokens: ``(n_items,)`` int64, length of each item's sentence.
        n_truncated: number of items whose sentence was shortened to half of the model's context.
        room: maximum length of a history's text in tokens.

    Raises:
        ModelError: if there is no such model, or it is not a GPT.
    """

    def __init__(
        self,
        model: str | Path,
        items: Mapping[str, np.ndarray],
        users: Mapping[str, np.ndarray] | None,
        item_ids: np.ndarray,
        *,
        event: str = "click",
        max_tokens: int | None = None,
        batch_tokens: int = 8192,
        device: str | None = None,
    ) -> None:
        pretrained = Pretrained.load(model)
        if not isinstance(pretrained.model, GPT):
            raise ModelError(
                f"{model} is a {pretrained.recipe.kind}, which predicts masked tokens: only a gpt "
                "predicts the next event"
            )
        self.gpt = pretrained.model.to(device or make_accelerator(None, "fp32").device)
        self.tokenizer, self.batch_tokens = pretrained.tokenizer, batch_tokens
        self.text = pretrained.recipe.text(as_dataset(items, users))
        template = self.text.templates.events[event]
        sentences = [template.format(item=self.text.item(item)) for item in item_ids]
        limit = self.gpt.context // 2  # the other half is for the history
        short = [shorten(sentence, self.tokenizer, limit) for sentence in sentences]
        self.n_truncated = sum(a != b for a, b in zip(short, sentences, strict=True))
        if self.n_truncated:
            log.warning(
                "%d of %d items have a text of more than %d tokens, which was shortened",
                self.n_truncated, len(sentences), limit,
            )  # fmt: skip
        self._sentences = self.tokenizer.encode_batch(short)
        self.n_tokens = np.array([len(ids) for ids in self._sentences])
        # [BOS] and [EVENT] are added to the text; the last token of a sentence is not an input.
        self.room = self.gpt.context - int(self.n_tokens.max()) - 1
        if max_tokens is not None:
            self.room = min(max_tokens, self.room)

    def prompts(self, histories: Histories) -> list[list[int]]:
        """Return the token ids of each history, from ``[BOS]`` to the last ``[EVENT]``."""
        texts = self.text.documents(histories, tokenizer=self.tokenizer, max_tokens=self.room)
        prompts = [
            Document((("[BOS]", ""), *text.pieces, ("[EVENT]", "")), text.truncated)
            for text in texts
        ]
        return [row.tolist() for row in encode_documents(self.tokenizer, prompts)]

    def log_likelihood(self, histories: Histories, places: np.ndarray) -> np.ndarray:
        """Compute ``ln P(sentence | history)`` of candidate items.

        Args:
            histories: ``n`` rows.
            places: ``(n, k)`` item indices in the catalogue; negative values are padding.

        Returns:
            ``(n, k)`` float64, in nats; NaN at padding.
        """
        scores = np.full(places.shape, np.nan)
        if places.size == 0:
            return scores
        is_item = places >= 0
        continuations = [
            [self._sentences[item] for item in row[valid]]
            for row, valid in zip(places, is_item, strict=True)
        ]
        values = log_likelihood(
            self.gpt, self.prompts(histories), continuations, batch_tokens=self.batch_tokens
        )
        for row, valid, value in zip(scores, is_item, values, strict=True):
            row[valid] = value.numpy()
        return scores


def as_dataset(items: Mapping[str, np.ndarray], users: Mapping[str, np.ndarray] | None) -> Dataset:
    """Return a data set without interactions for ``BehaviourText``."""
    no_users = {"user_id": np.zeros(0, dtype=np.int64)}
    item_table, user_table = (
        pd.DataFrame(dict(table)).astype(dict.fromkeys(set(table) - {key}, object))
        for table, key in ((items, "item_id"), (users or no_users, "user_id"))
    )
    empty = {key: np.zeros(0, dtype=np.int64) for key in ("user_id", "item_id", "timestamp")}
    return Dataset(
        "the tables given",
        pd.DataFrame({**empty, "event": np.zeros(0, dtype=object)}),
        item_table.mask(item_table == ""),
        user_table.mask(user_table == ""),
        Card("", "", ""),
    )
