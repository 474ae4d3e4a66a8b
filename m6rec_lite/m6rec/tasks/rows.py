"""Rows of generation tasks, from documents to tokens: known region, begun part, rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data import Histories
from m6rec_lite.language.text.document import Document, Piece, encode_documents
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.task import Examples

#: Column of ``Examples.about``: tokens of the written region that are given, ``[BOS]`` included.
BEGUN = "begun"


@dataclass(frozen=True)
class Row:
    """A row of a generation task, as documents.

    Attributes:
        known: the known region, without the tokens that enclose it.
        begun: the given beginning of the written region.
        rest: how it continues; empty where the continuation is not known.
        spare: indices of the pieces of ``known`` that may be left out where the row is too long,
            in the order in which they go, with the pieces (``None``) that continue them.
        about: what the row is about, for ``Examples.about``.
    """

    known: Document
    begun: Document
    rest: Document
    spare: tuple[int, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def examples_of(prompts: PromptBuilder, rows: Sequence[Row]) -> Examples:
    """Encode rows as tokens.

    Args:
        prompts: the tokenizer, and how many tokens a row may have.
        rows: any number.

    Raises:
        ValueError: if a row is too long even without all that may be left out.
    """
    tokenizer = prompts.tokenizer
    regions = [one for row in rows for one in (row.known, row.begun, row.rest)]
    texts = list(dict.fromkeys(text for one in regions for _, text in one.pieces))
    size = dict(zip(texts, map(len, tokenizer.encode_batch(texts)), strict=True))

    def length(pieces: Sequence[Piece]) -> int:
        return sum(size[text] + (name is not None) for name, text in pieces)

    # Every row leaves the room that the longest answer needs, or what is left out would give away
    # the length of its answer.
    room = max((2 + length(row.begun.pieces) + length(row.rest.pieces) for row in rows), default=0)
    known = []
    for number, row in enumerate(rows):
        pieces, gone = row.known.pieces, set()
        total = 2 + room + length(pieces)
        for place in row.spare:
            if total <= prompts.max_tokens:
                break
            gone.add(place)
            total -= length([pieces[place]])
        if total > prompts.max_tokens:
            raise ValueError(
                f"row {number} ({dict(row.about)!r:.80}) makes {total} tokens, more than "
                f"max_tokens={prompts.max_tokens}: allow more, or let the text say less (fewer "
                "parts= or context=, a smaller max_chars=)"
            )
        known.append(Document(tuple(one for i, one in enumerate(pieces) if i not in gone)))
    starts = prompts.written([row.begun for row in rows], open=True)
    ends = encode_documents(tokenizer, [row.rest.wrapped(None, "[EOS]") for row in rows])
    table = pd.DataFrame([dict(row.about) for row in rows], index=range(len(rows)))
    table[BEGUN] = np.array([len(start) for start in starts], dtype=np.int64)
    written = [np.concatenate(pair) for pair in zip(starts, ends, strict=True)]
    target = np.zeros(len(rows), dtype=np.int64)
    return Examples(prompts.known(known), written, target, table, tokenizer)


def people(
    prompts: PromptBuilder, histories: Histories, *beside: Sequence[Document]
) -> list[Document]:
    """Describe each row's user and latest events, as many as leave room for the rest of the row.

    Args:
        prompts: of words and tokens.
        histories: ``n`` rows; of one without events only the user is described.
        beside: what else a row holds, ``n`` documents of each kind. Every row leaves the room that
            the longest of a kind needs, so that the room does not give away the answer's length.

    Raises:
        ValueError: if there is no room for a user and the latest event.
    """
    kinds = (encode_documents(prompts.tokenizer, documents) for documents in beside)
    taken = 4 + sum(max(map(len, rows), default=0) for rows in kinds)
    room = prompts.max_tokens - taken
    if room < 1:
        raise ValueError(
            f"what stands beside the user takes up to {taken} tokens, which leaves no room in "
            f"max_tokens={prompts.max_tokens}: allow more"
        )
    return prompts.text.documents(histories, tokenizer=prompts.tokenizer, max_tokens=room)
