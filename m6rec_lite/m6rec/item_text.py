"""The text of items as TF-IDF weights of its tokens, for the retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.tables import Card, DataError, Dataset
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.recommenders.content import unit_rows


@dataclass(frozen=True, eq=False)
class ItemText:
    """Weights of the tokens of item texts.

    The IDF of a token is ``ln((1 + n) / (1 + n_with)) + 0.01``, where ``n_with`` of the ``n`` texts
    of the first catalogue contain it. With the 0.01 no text has only zero weights.

    Attributes:
        tokenizer: of the texts.
        idf: ``(vocab_size,)`` float64.
    """

    tokenizer: Tokenizer
    idf: np.ndarray

    @classmethod
    def fit(cls, texts: Sequence[str], tokenizer: Tokenizer) -> Self:
        """Count in how many texts each token occurs."""
        counts = _counts(texts, tokenizer)
        n_with = np.bincount(counts.indices, minlength=tokenizer.vocab_size)
        return cls(tokenizer, np.log((1 + len(texts)) / (1 + n_with)) + 0.01)

    def shares(self, texts: Sequence[str]) -> sparse.csr_array:
        """Return the TF-IDF weights of each text, ``(n, vocab_size)``, rows of length 1."""
        counts = _counts(texts, self.tokenizer)
        counts.data = counts.data * self.idf[counts.indices]
        return sparse.csr_array(unit_rows(counts))

    def state(self) -> dict[str, np.ndarray]:
        """Return arrays for ``from_state``."""
        return {"tokenizer": np.array(self.tokenizer.to_json()), "idf": self.idf}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return what ``state`` returned."""
        return cls(Tokenizer.from_json(str(state["tokenizer"])), np.asarray(state["idf"]))


def _counts(texts: Sequence[str], tokenizer: Tokenizer) -> sparse.csr_array:
    """Return the number of occurrences of each token in each text, ``(n, vocab_size)``."""
    rows = tokenizer.encode_batch(texts)
    row_index = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    tokens = np.array([token for row in rows for token in row], dtype=np.int64)
    shape = len(rows), tokenizer.vocab_size
    counts = sparse.coo_array((np.ones(len(tokens)), (row_index, tokens)), shape=shape).tocsr()
    counts.sum_duplicates()
    return counts


def item_texts(
    name: str, item_ids: np.ndarray, items: pd.DataFrame | None, parts: Sequence[str]
) -> list[str]:
    """Return the text of each item of a catalogue.

    Args:
        name: of the model, for messages.
        item_ids: ``(n,)`` ids.
        items: table of items.
        parts: of an item's text, of ``behaviour.ALL_PARTS``.

    Raises:
        DataError: if the table is missing, or lacks some of the items.
    """
    text = BehaviourText(as_dataset(items_of_catalogue(name, item_ids, items)))
    return [text.item(item, parts=parts) for item in item_ids]


def items_of_catalogue(name: str, item_ids: np.ndarray, items: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows of a catalogue, one for each item.

    Raises:
        DataError: as ``item_texts``.
    """
    if items is None:
        raise DataError(f"{name} reads items: call fit(train, items=dataset.items)")
    missing = np.setdiff1d(item_ids, items["item_id"])
    if len(missing):
        raise DataError(
            f"the items table lacks {len(missing)} of the items of train, such as "
            f"{missing[:5].tolist()}: give the table of the data set that train comes from"
        )
    return items[items["item_id"].isin(item_ids)].drop_duplicates("item_id")


def as_dataset(items: pd.DataFrame, users: pd.DataFrame | None = None) -> Dataset:
    """Return tables of items and users as a dataset without events, for ``BehaviourText``."""
    empty = {key: np.zeros(0, dtype=np.int64) for key in ("user_id", "item_id", "timestamp")}
    rows = pd.DataFrame({**empty, "event": np.zeros(0, dtype=object)})
    if users is None:
        users = pd.DataFrame({"user_id": np.zeros(0, dtype=np.int64)})
    return Dataset("the items given", rows, items, users, Card("", "", ""))
