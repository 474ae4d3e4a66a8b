"""Text with structure: pieces opened by special tokens, which no text can forge.

A history as one string has a flaw: a title that says "clicked a product …" looks like an event. So
text and structure are kept apart until both are numbers. A ``Document`` is a row of pieces, each
with its special token or none; ``encode_document`` turns tokens into their numbers and text into
the numbers of text, where ``[EOS]`` is five letters and two brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from m6rec_lite.data import DataError
from m6rec_lite.language.text.tokenizer import Tokenizer

#: A piece: the special token that opens it (None goes on with the piece before), and its text.
Piece = tuple[str | None, str]

#: What would break a line, or turn its direction: it becomes a space.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Quotation marks that templates put around what people wrote; within it they become single ones.
_QUOTES = str.maketrans("“”", "‘’")


@dataclass(frozen=True)
class Document:
    """Pieces of text in order.

    Attributes:
        pieces: special tokens (or None) and texts.
        truncated: how many of the oldest events were left out, so that the rest fits a limit.
    """

    pieces: tuple[Piece, ...]
    truncated: int = 0

    def __add__(self, other: Document) -> Document:
        return Document(self.pieces + other.pieces, self.truncated + other.truncated)

    @property
    def text(self) -> str:
        """The texts, a line for each piece that has a special token; the tokens do not show.

        For people, and for language models that know nothing of our tokens.
        """
        lines = "".join(text if name is None else f"\n{text}" for name, text in self.pieces)
        return "\n".join(line for line in lines.split("\n") if line)

    @property
    def marked(self) -> str:
        """The same with special tokens written out, for display; not for a tokenizer."""
        return "".join(text if name is None else f"{name}{text}" for name, text in self.pieces)

    @property
    def n_bytes(self) -> int:
        """Bytes of the texts in UTF-8. Special tokens are not text and have none."""
        return sum(len(text.encode()) for _, text in self.pieces)

    def wrapped(self, start: str | None = "[BOS]", end: str | None = "[EOS]") -> Document:
        """The document between two special tokens, such as ``[BOS'] … [EOS']``."""
        before = () if start is None else ((start, ""),)
        after = () if end is None else ((end, ""),)
        return replace(self, pieces=(*before, *self.pieces, *after))


def encode_documents(tokenizer: Tokenizer, documents: Iterable[Document]) -> list[np.ndarray]:
    """The numbers of each document's tokens.

    Each text is tokenized once, however often it occurs (an item's does in every history it is
    in). So tokens never span two pieces.

    Returns:
        A ``(tokens,)`` int32 array a document.

    Raises:
        KeyError: if a piece names a special token that there is none of.
    """
    documents = list(documents)
    texts = list(dict.fromkeys(text for document in documents for _, text in document.pieces))
    known = dict(zip(texts, tokenizer.encode_batch(texts), strict=True))
    names = {name for document in documents for name, _ in document.pieces}
    opening: dict[str | None, list[int]] = {
        name: [] if name is None else [tokenizer.id(name)] for name in names
    }
    rows = []
    for document in documents:
        row: list[int] = []
        for name, text in document.pieces:
            row += opening[name]
            row += known[text]
        rows.append(np.array(row, dtype=np.int32))
    return rows


def encode_document(tokenizer: Tokenizer, document: Document) -> list[int]:
    """The numbers of one document's tokens; see ``encode_documents``."""
    return encode_documents(tokenizer, [document])[0].tolist()


def keep_latest(
    documents: Sequence[Document], tokenizer: Tokenizer, max_tokens: int, event: str = "[EVENT]"
) -> list[Document]:
    """Each document without so many of its oldest events that the rest fits a limit.

    An event is a piece opened by ``event`` and the pieces that go on with it. Events go whole; all
    other pieces stay.

    Args:
        documents: with events from the oldest to the latest.
        tokenizer: counts.
        max_tokens: of a document, its special tokens included.
        event: the special token that opens an event.

    Raises:
        ValueError: if a document's other pieces and its latest event alone are too long.
    """
    if tokenizer is None:
        raise ValueError("max_tokens needs a tokenizer to count with: pass tokenizer=")
    texts = list(dict.fromkeys(text for document in documents for _, text in document.pieces))
    size = dict(zip(texts, map(len, tokenizer.encode_batch(texts)), strict=True))
    kept = []
    for document in documents:
        events: list[list[int]] = []  # [place of its first piece, of the one after it, tokens]
        total, within = 0, False
        for place, (name, text) in enumerate(document.pieces):
            cost = size[text] + (name is not None)
            total += cost
            within = name == event or (name is None and within)
            if name == event:
                events.append([place, place + 1, cost])
            elif within:
                events[-1] = [events[-1][0], place + 1, events[-1][2] + cost]
        out = 0
        while total > max_tokens and out < len(events) - 1:  # the latest event stays
            total -= events[out][2]
            out += 1
        if total > max_tokens:
            latest = f", {events[-1][2]} of them the latest event's" if events else ""
            raise ValueError(
                f"max_tokens={max_tokens} is too few for {total} tokens{latest}, in the document "
                f"{document.text[:60]!r}…: allow more, or say less (fewer parts= or context=, a "
                "smaller max_chars=)"
            )
        gone = {place for first, stop, _ in events[:out] for place in range(first, stop)}
        pieces = tuple(piece for place, piece in enumerate(document.pieces) if place not in gone)
        kept.append(Document(pieces, document.truncated + out) if out else document)
    return kept


def clean(text: str, where: str, *, quoted: bool = False, max_chars: int | None = None) -> str:
    """What somebody wrote, fit to stand in a line.

    Control characters, line breaks and marks that turn the direction of writing become spaces, and
    spaces in a row one.

    Args:
        text: anything.
        where: what the text is, for messages.
        quoted: make “ and ” single, so that the text can stand between them.
        max_chars: longer texts are cut at the end of a word, and end in "…".

    Raises:
        DataError: if the text holds a lone surrogate.
    """
    if lone := _SURROGATE.search(text):
        raise DataError(
            f"{where} has half a character (the lone surrogate {lone.group()!r}) at place "
            f"{lone.start()}: read the file as UTF-8, or drop it with "
            "text.encode('utf-8', 'ignore').decode()"
        )
    text = " ".join(_CONTROLS.sub(" ", text).split())
    if quoted:
        text = text.translate(_QUOTES)
    if max_chars is None or len(text) <= max_chars:
        return text
    cut = text[: max_chars - 1]
    if not text[max_chars - 1].isspace() and " " in cut:
        cut = cut[: cut.rindex(" ")]
    return cut.rstrip() + "…"
