"""Prompts: the known and the written region of a row, as tokens.

    [BOS'] [USER]A woman, 25 to 34 … [EVENT]clicked … [EOS'] [BOS] a product named … [EOS]

Every task of M6-Rec has such rows. Attention is bidirectional in the known region, and causal in
the written one (``model``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from m6rec_lite.data import Histories
from m6rec_lite.data.ids import Id
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.document import Document, encode_documents
from m6rec_lite.language.text.tokenizer import Tokenizer


class PromptBuilder:
    """Builds regions of tokens from users, items and sentences.

    Args:
        text: verbalizes users and items.
        tokenizer: the model's.
        max_tokens: of a whole row, both regions together, such as the model's
            ``max_position_embeddings``.

    Raises:
        ValueError: if ``max_tokens`` is below 8.
    """

    def __init__(self, text: BehaviourText, tokenizer: Tokenizer, max_tokens: int = 256) -> None:
        if max_tokens < 8:
            raise ValueError(f"max_tokens must be at least 8, got {max_tokens!r}")
        self.text, self.tokenizer, self.max_tokens = text, tokenizer, max_tokens

    def known(self, documents: Iterable[Document]) -> list[np.ndarray]:
        """Encode documents as known regions, ``[BOS'] … [EOS']``: ``(tokens,)`` int32 each."""
        wrapped = (document.wrapped("[BOS']", "[EOS']") for document in documents)
        return encode_documents(self.tokenizer, wrapped)

    def written(self, documents: Iterable[Document], *, open: bool = False) -> list[np.ndarray]:
        """Encode documents as written regions, ``[BOS] … [EOS]``; ``open`` omits ``[EOS]``."""
        wrapped = (document.wrapped("[BOS]", None if open else "[EOS]") for document in documents)
        return encode_documents(self.tokenizer, wrapped)

    def people(self, histories: Histories, *, room: int = 0) -> list[np.ndarray]:
        """Encode histories as known regions: the user, and the latest events that fit.

        Args:
            histories: ``n`` rows; of one without events only the user is described.
            room: number of tokens to reserve for the written region.

        Raises:
            ValueError: if a user and the latest event alone do not fit.
        """
        limit = self.max_tokens - room - 2  # [BOS'] and [EOS']
        if limit < 1:
            raise ValueError(
                f"a written region of {room} tokens leaves no room for the user in "
                f"max_tokens={self.max_tokens}: allow more, or describe the item in fewer parts"
            )
        return self.known(
            self.text.documents(histories, tokenizer=self.tokenizer, max_tokens=limit)
        )

    def items(
        self, item_ids: Sequence[Id] | np.ndarray, *, parts: Sequence[str] | None = None
    ) -> list[np.ndarray]:
        """Encode items as written regions: ``[BOS] [ITEM] a product named … [EOS]``.

        Args:
            item_ids: ``(n,)``; an item without text is described by its kind only.
            parts: of the text, of ``behaviour.ALL_PARTS``; by default those of events.

        Raises:
            DataError: on an unknown item.
        """
        return self.written(
            Document((("[ITEM]", self.text.item(item, parts=parts)),)) for item in item_ids
        )
