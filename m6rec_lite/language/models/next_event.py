"""How likely a language model finds it that a person meets each of some items next.

The history is told as text, up to the mark that opens the next event; what follows is, for every
item, the sentence that says it was met. ``ln P(sentence | history)`` is the sum of its tokens'
(M6-Rec's zero-shot ranking: Cui et al., 2022, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.data import Histories
from m6rec_lite.data.ids import as_ids
from m6rec_lite.data.tables import Card, Dataset
from m6rec_lite.language.models.hub import ModelError
from m6rec_lite.language.models.pretraining import Pretrained
from m6rec_lite.language.text.document import Document, encode_documents
from m6rec_lite.nn.likelihood import log_likelihood
from m6rec_lite.training.devices import make_accelerator

#: Columns of items and users that are put into words.
ITEM_COLUMNS = ("domain", "category", "title", "description", "creator")
USER_COLUMNS = ("age_band", "gender", "city", "occupation", "locale")


def wording(table: pd.DataFrame, key: str) -> dict[str, np.ndarray]:
    """What is put into words of a table: ids, and columns as arrays of text, "" for missing.

    Args:
        table: items or users.
        key: ``item`` or ``user``.
    """
    columns = ITEM_COLUMNS if key == "item" else USER_COLUMNS
    found = {f"{key}_id": as_ids(table[f"{key}_id"], f"{key}_id")}
    for column in columns:
        if column in table:
            texts = table[column].astype(object).where(table[column].notna(), "")
            found[column] = np.array([str(text) for text in texts], dtype=np.str_)
    return found


class NextEvent:
    """A pretrained GPT, asked what somebody meets next.

    Args:
        model: made by ``language.pretraining``: a folder, or a name in ``checkpoints/``. How the
            text is written is read from there, so that it is the text that the model learnt.
        items: as ``wording`` gives it; all items that histories and candidates name.
        users: likewise; None: nothing is said of who somebody is.
        item_ids: ``(n_items,)`` the catalogue, in the order of the candidates' places.
        event: what is done with the item, one of ``EVENTS``.
        max_tokens: of the history's text; older events fall out. None is what the model's context
            leaves beside the longest sentence.
        batch_tokens: positions that run at a time; bounds the memory.
        device: ``cpu``, ``cuda``, …; None takes the best there is.

    Attributes:
        n_tokens: ``(n_items,)`` int64, tokens of each item's sentence.
        room: tokens of a history's text at most.

    Raises:
        ModelError: if there is no such model, or it is none that foretells.
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
        made = Pretrained.load(model)
        if made.recipe.kind != "gpt":
            raise ModelError(
                f"{model} is a {made.recipe.kind}, which fills gaps: only a gpt foretells what "
                "comes next"
            )
        self.gpt = made.model.to(device or make_accelerator(None, "fp32").device)
        self.tokenizer, self.batch_tokens = made.tokenizer, batch_tokens
        self.text = made.recipe.text(_as_dataset(items, users))
        say = self.text.templates.events[event].format
        sentences = [say(item=self.text.item(item)) for item in item_ids]
        self._sentences = self.tokenizer.encode_batch(sentences)
        self.n_tokens = np.array([len(ids) for ids in self._sentences])
        # [BOS] stands before the text and [EVENT] behind it; a sentence's last token is not read.
        self.room = self.gpt.context - int(self.n_tokens.max()) - 1
        if max_tokens is not None:
            self.room = min(max_tokens, self.room)

    def prompts(self, histories: Histories) -> list[list[int]]:
        """Each history as tokens, up to the mark that opens the next event."""
        told = self.text.documents(histories, tokenizer=self.tokenizer, max_tokens=self.room)
        opened = [
            Document((("[BOS]", ""), *each.pieces, ("[EVENT]", "")), each.truncated)
            for each in told
        ]
        return [row.tolist() for row in encode_documents(self.tokenizer, opened)]

    def log_likelihood(self, histories: Histories, places: np.ndarray) -> np.ndarray:
        """``ln P(sentence | history)`` of some items.

        Args:
            histories: ``n`` rows.
            places: ``(n, k)`` places in the catalogue; below 0 for none.

        Returns:
            ``(n, k)`` float64, in nats; NaN where there is no item.
        """
        found = np.full(places.shape, np.nan)
        if places.size == 0:
            return found
        there = places >= 0
        continuations = [
            [self._sentences[place] for place in row[real]]
            for row, real in zip(places, there, strict=True)
        ]
        values = log_likelihood(
            self.gpt, self.prompts(histories), continuations, batch_tokens=self.batch_tokens
        )
        for row, real, value in zip(found, there, values, strict=True):
            row[real] = value.numpy()
        return found


def _as_dataset(items: Mapping[str, np.ndarray], users: Mapping[str, np.ndarray] | None) -> Dataset:
    """Tables as ``BehaviourText`` reads them."""
    nobody = {"user_id": np.zeros(0, dtype=np.int64)}
    frames = [
        pd.DataFrame(dict(table)).astype(dict.fromkeys(set(table) - {key}, object))
        for table, key in ((items, "item_id"), (users or nobody, "user_id"))
    ]
    frames = [frame.mask(frame == "") for frame in frames]
    none = {key: np.zeros(0, dtype=np.int64) for key in ("user_id", "item_id", "timestamp")}
    rows = pd.DataFrame({**none, "event": np.zeros(0, dtype=object)})
    return Dataset("the tables given", rows, *frames, Card("", "", ""))
