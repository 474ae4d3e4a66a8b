"""Users and items as regions of tokens, for the full-text retriever; every text is encoded once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from m6rec_lite.data.interactions import Histories
from m6rec_lite.language.text.behaviour import ALL_PARTS, BehaviourText
from m6rec_lite.language.text.document import distinct_texts
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.item_text import as_dataset

#: Attributes of a user. The day and the weather are left out: they are known by the query time.
ATTRIBUTES = ("gender", "age_band", "occupation", "city", "locale")
#: Number of rows of histories that are verbalized at a time.
CHUNK = 2048


@dataclass(frozen=True)
class RegionSettings:
    """How users and items are put into words.

    Attributes:
        templates: of ``BehaviourText``.
        parts: of an item's region, of ``behaviour.ALL_PARTS``.
        use_time_gaps: write the time since the previous event.
        max_length: maximum number of events.
        max_tokens: maximum length of a region.
    """

    templates: str
    parts: tuple[str, ...]
    use_time_gaps: bool
    max_length: int
    max_tokens: int


@dataclass(frozen=True, eq=False)
class EncodedHistories:
    """Histories as tokens, from which the region of every prefix is cut.

    Attributes:
        users: for each row ``[BOS'] [USER] …``.
        tokens: ``(total,)`` int32: the tokens of all events, ``[EVENT] …``.
        starts: ``(n_events + 1,)`` int64: where each event begins in ``tokens``, and its end.
        offsets: ``(n + 1,)`` int64: the events of each row, as in ``Histories``.
        end: id of ``[EOS']``.
        settings: limits of a region.
    """

    users: list[np.ndarray]
    tokens: np.ndarray
    starts: np.ndarray
    offsets: np.ndarray
    end: int
    settings: RegionSettings

    def sizes(self, rows: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        """Return the number of tokens of each ``known(row, cut)``, ``(k,)``."""
        room, first, last = self._bounds(rows, cuts)
        users = self.settings.max_tokens - room
        return users + np.minimum(self.starts[last] - self.starts[first], room)

    def known(self, row: int, cut: int) -> np.ndarray:
        """Return ``[BOS'] the user, the latest of the first cut events [EOS']``.

        The oldest events are left out beyond ``max_length`` events or ``max_tokens`` tokens; of a
        latest event that is too long, the end is.
        """
        rooms, firsts, lasts = self._bounds(np.array([row]), np.array([cut]))
        events = self.tokens[self.starts[firsts[0]] : self.starts[lasts[0]]][: int(rooms[0])]
        return np.concatenate([self.users[row], events, [self.end]]).astype(np.int32)

    def _bounds(
        self, rows: np.ndarray, cuts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the room for events in tokens, the first event, and the one after the last."""
        room = self.settings.max_tokens - 1 - np.array([len(self.users[row]) for row in rows])
        begin = self.offsets[rows]
        last = begin + cuts
        fits = np.searchsorted(self.starts, self.starts[last] - room, side="left")
        first = np.maximum.reduce([begin, last - self.settings.max_length, fits])
        return room, np.minimum(first, np.maximum(last - 1, begin)), last


class RegionBuilder:
    """Builds the regions of users and items.

    Args:
        items: table of the catalogue's items.
        users: table of users, or None: then nothing is said of them.
        item_ids: ``(n_items,)`` the catalogue.
        settings: how to put into words.
        tokenizer: a trained one; see ``train_tokenizer``.

    Attributes:
        written: for each item ``[BOS] [ITEM] … [EOS]``.

    Raises:
        DataError: if no item has any text.
    """

    def __init__(
        self,
        items: pd.DataFrame,
        users: pd.DataFrame | None,
        item_ids: np.ndarray,
        settings: RegionSettings,
        tokenizer: Tokenizer,
    ) -> None:
        self.settings, self.tokenizer = settings, tokenizer
        self._tables = _to_json(items), None if users is None else _to_json(users)
        self._text = _text(items, users, settings)
        self._ids: dict[str, list[int]] = {}
        texts = _item_texts(self._text, item_ids, settings.parts)
        self._encode(texts)
        start, item, end = (tokenizer.id(name) for name in ("[BOS]", "[ITEM]", "[EOS]"))
        room = settings.max_tokens - 3
        self.written = [
            np.array([start, item, *self._ids[text][:room], end], dtype=np.int32) for text in texts
        ]

    @staticmethod
    def train_tokenizer(
        items: pd.DataFrame,
        users: pd.DataFrame | None,
        histories: Histories,
        settings: RegionSettings,
        vocab_size: int,
    ) -> Tokenizer:
        """Train a tokenizer on the texts of items and of at most ``CHUNK`` histories."""
        text = _text(items, users, settings)
        texts = _item_texts(text, histories.item_ids, settings.parts)
        documents = text.documents(histories[:CHUNK].last(settings.max_length))
        return Tokenizer.train(dict.fromkeys([*texts, *distinct_texts(documents)]), vocab_size)

    def encode(self, histories: Histories) -> EncodedHistories:
        """Encode histories; texts that were encoded before, in any call, are not encoded again."""
        start, user, event = (self.tokenizer.id(name) for name in ("[BOS']", "[USER]", "[EVENT]"))
        users: list[np.ndarray] = []
        tokens: list[int] = []
        starts: list[int] = []
        for first in range(0, len(histories), CHUNK):
            documents = self._text.documents(histories[first : first + CHUNK])
            self._encode(distinct_texts(documents))
            for document in documents:
                words = [start, user, *self._ids[document.pieces[0][1]]]
                users.append(np.array(words[: self.settings.max_tokens // 2], dtype=np.int32))
                for name, text in document.pieces[1:]:
                    if name == "[EVENT]":
                        starts.append(len(tokens))
                        tokens.append(event)
                    tokens += self._ids[text]
        return EncodedHistories(
            users,
            np.array(tokens, dtype=np.int32),
            np.array([*starts, len(tokens)], dtype=np.int64),
            histories.offsets,
            self.tokenizer.id("[EOS']"),
            self.settings,
        )

    def _encode(self, texts: Iterable[str]) -> None:
        """Encode the texts that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._ids]
        self._ids |= dict(zip(new, self.tokenizer.encode_batch(new), strict=True))

    def state(self) -> dict[str, np.ndarray]:
        """Return arrays for ``from_state``."""
        items, users = self._tables
        state = {"tokenizer": np.array(self.tokenizer.to_json()), "items": np.array(items)}
        return state if users is None else state | {"users": np.array(users)}

    @classmethod
    def from_state(
        cls, state: dict[str, Any], item_ids: np.ndarray, settings: RegionSettings
    ) -> Self:
        """Return what ``state`` returned."""
        users = _from_json(str(state["users"])) if "users" in state else None
        tokenizer = Tokenizer.from_json(str(state["tokenizer"]))
        return cls(_from_json(str(state["items"])), users, item_ids, settings, tokenizer)


def _text(
    items: pd.DataFrame, users: pd.DataFrame | None, settings: RegionSettings
) -> BehaviourText:
    """Return the verbalizer of a catalogue and its users, which reads no query time."""
    return BehaviourText(
        as_dataset(items, users),
        settings.templates,
        context=ATTRIBUTES,
        times="later" if settings.use_time_gaps else None,
        queries="none",
        ratings=False,
    )


def _item_texts(text: BehaviourText, item_ids: np.ndarray, parts: tuple[str, ...]) -> list[str]:
    return [text.item(item, parts=parts) for item in item_ids]


def _to_json(table: pd.DataFrame) -> str:
    """Return the columns of a table that ``_text`` reads, as JSON."""
    names = ("item_id", "user_id", *ALL_PARTS, *ATTRIBUTES)
    columns = [name for name in names if name in table]
    return table[columns].to_json(orient="split", index=False, force_ascii=False)


def _from_json(text: str) -> pd.DataFrame:
    content = json.loads(text)
    return pd.DataFrame(content["data"], columns=content["columns"])
