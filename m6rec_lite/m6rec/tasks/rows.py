"""Rows of generation tasks, from documents to tokens: known region, begun part, rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data import Histories
from m6rec_lite.language.text.document import Document, Piece, encode_documents, token_counts
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.task import Examples

#: Column of ``Examples.about``: number of given tokens of the written region, with ``[BOS]``.
BEGUN = "begun"


@dataclass(frozen=True)
class Row:
    """A row of a generation task, as documents.

    Attributes:
        known: the known region, without the tokens that enclose it.
        begun: the given beginning of the written region.
        rest: its continuation; empty if unknown.
        spare: indices of the pieces of ``known`` that may be left out if the row is too long, in
            the order of removal.
        about: the row of ``Examples.about``.
    """

    known: Document
    begun: Document
    rest: Document
    spare: tuple[int, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def examples_of(prompts: PromptBuilder, rows: Sequence[Row]) -> Examples:
    """Encode rows as tokens.

    Args:
        prompts: the tokenizer, and the maximum number of tokens of a row.
        rows: any number of rows.

    Raises:
        ValueError: if a row is too long even without its ``spare`` pieces.
    """
    tokenizer = prompts.tokenizer
    regions = [part for row in rows for part in (row.known, row.begun, row.rest)]
    size = token_counts(tokenizer, regions)

    def length(pieces: Sequence[Piece]) -> int:
        return sum(size[text] + (name is not None) for name, text in pieces)

    # Every row reserves the tokens of the longest answer: otherwise the number of pieces left out
    # would reveal the length of its answer.
    reserved = max(
        (2 + length(row.begun.pieces) + length(row.rest.pieces) for row in rows), default=0
    )
    known = []
    for number, row in enumerate(rows):
        pieces, removed = row.known.pieces, set()
        total = 2 + reserved + length(pieces)
        for i in row.spare:
            if total <= prompts.max_tokens:
                break
            removed.add(i)
            total -= length([pieces[i]])
        if total > prompts.max_tokens:
            raise ValueError(
                f"row {number} ({dict(row.about)!r:.80}) makes {total} tokens, more than "
                f"max_tokens={prompts.max_tokens}: allow more, or describe less (fewer "
                "parts= or context=, a smaller max_chars=)"
            )
        known.append(Document(tuple(piece for i, piece in enumerate(pieces) if i not in removed)))
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
    """Describe each row's user and latest events, as many as fit beside the rest of the row.

    Args:
        prompts: turns users and items into text, and text into tokens.
        histories: ``n`` rows; of a row without events only the user is described.
        beside: the rest of each row, ``n`` documents of each kind. Every row reserves the tokens
            of the longest of a kind, so that the number of events does not reveal the length of
            the answer.

    Raises:
        ValueError: if a user and the latest event do not fit.
    """
    kinds = (encode_documents(prompts.tokenizer, documents) for documents in beside)
    reserved = 4 + sum(max(map(len, rows), default=0) for rows in kinds)
    limit = prompts.max_tokens - reserved
    if limit < 1:
        raise ValueError(
            f"the rest of a row takes up to {reserved} tokens, which leaves no room for the user "
            f"in max_tokens={prompts.max_tokens}: allow more"
        )
    return prompts.text.documents(histories, tokenizer=prompts.tokenizer, max_tokens=limit)
