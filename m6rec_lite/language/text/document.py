"""Documents: pieces of text separated by special tokens that no text can contain.

In a single string a title such as "clicked a product …" would look like an event. Text and special
tokens are therefore kept apart until both are token ids. A ``Document`` is a sequence of pieces,
each with its special token or none. ``encode_document`` maps special tokens to their ids and
encodes texts as plain text, in which ``[EOS]`` is just five characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from m6rec_lite.data import DataError
from m6rec_lite.language.text.tokenizer import Tokenizer

#: Special token at the start of a piece (None: it continues the previous piece), and its text.
Piece = tuple[str | None, str]

#: Control characters, line separators and marks of text direction; replaced by spaces.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Fewest tokens that are left of the latest event's text.
SHORTEST = 8
#: Quotation marks that templates put around texts; inside them they become single ones.
_QUOTES = str.maketrans("“”", "‘’")


@dataclass(frozen=True)
class Document:
    """A sequence of pieces of text.

    Attributes:
        pieces: pairs of a special token (or None) and a text.
        truncated: number of oldest events that were dropped, and of texts that were shortened, to
            fit a length limit.
    """

    pieces: tuple[Piece, ...]
    truncated: int = 0

    def __add__(self, other: Document) -> Document:
        return Document(self.pieces + other.pieces, self.truncated + other.truncated)

    @property
    def text(self) -> str:
        """Texts without special tokens, one line per piece that has a special token.

        For readers, and for language models without these special tokens.
        """
        lines = "".join(text if name is None else f"\n{text}" for name, text in self.pieces)
        return "\n".join(line for line in lines.split("\n") if line)

    @property
    def marked(self) -> str:
        """Text with special tokens by name, for display; not for a tokenizer."""
        return "".join(text if name is None else f"{name}{text}" for name, text in self.pieces)

    @property
    def n_bytes(self) -> int:
        """Number of bytes of the texts in UTF-8; special tokens have none."""
        return sum(len(text.encode()) for _, text in self.pieces)

    def wrapped(self, start: str | None = "[BOS]", end: str | None = "[EOS]") -> Document:
        """Return the document between two special tokens, such as ``[BOS'] … [EOS']``."""
        before = () if start is None else ((start, ""),)
        after = () if end is None else ((end, ""),)
        return replace(self, pieces=(*before, *self.pieces, *after))


def encode_documents(tokenizer: Tokenizer, documents: Iterable[Document]) -> list[np.ndarray]:
    """Encode documents as token ids.

    Each distinct text is encoded once; an item's text occurs in many histories. Tokens never span
    two pieces.

    Returns:
        One ``(tokens,)`` int32 array per document.

    Raises:
        KeyError: if a piece has an unknown special token.
    """
    documents = list(documents)
    text_ids = _text_ids(tokenizer, documents)
    names = {name for document in documents for name, _ in document.pieces}
    special_ids: dict[str | None, list[int]] = {
        name: [] if name is None else [tokenizer.id(name)] for name in names
    }
    rows = []
    for document in documents:
        row: list[int] = []
        for name, text in document.pieces:
            row += special_ids[name]
            row += text_ids[text]
        rows.append(np.array(row, dtype=np.int32))
    return rows


def token_counts(tokenizer: Tokenizer, documents: Iterable[Document]) -> dict[str, int]:
    """Return the number of tokens of each text of some documents, without special tokens."""
    return {text: len(ids) for text, ids in _text_ids(tokenizer, documents).items()}


def _text_ids(tokenizer: Tokenizer, documents: Iterable[Document]) -> dict[str, list[int]]:
    """Return the token ids of each distinct text of some documents."""
    texts = distinct_texts(documents)
    return dict(zip(texts, tokenizer.encode_batch(texts), strict=True))


def distinct_texts(documents: Iterable[Document]) -> list[str]:
    """Return the distinct texts of documents, to train a tokenizer.

    With repetitions a tokenizer would use its vocabulary for whole titles of popular items.
    """
    return list(dict.fromkeys(text for document in documents for _, text in document.pieces))


def encode_document(tokenizer: Tokenizer, document: Document) -> list[int]:
    """Encode one document as token ids; see ``encode_documents``."""
    return encode_documents(tokenizer, [document])[0].tolist()


def keep_latest(
    documents: Sequence[Document],
    tokenizer: Tokenizer | None,
    max_tokens: int,
    event: str = "[EVENT]",
) -> list[Document]:
    """Drop the oldest events of each document until it fits a length limit.

    An event is a piece with the special token ``event`` and the pieces that continue it. Events are
    dropped as a whole; all other pieces are kept. If the latest event alone is too long, its text
    is shortened, unless fewer than ``SHORTEST`` tokens of it would be left.

    Args:
        documents: documents with events from the oldest to the latest.
        tokenizer: counts the tokens; required.
        max_tokens: maximum length of a document, special tokens included.
        event: special token at the start of an event.

    Raises:
        ValueError: if a document with only its latest event is too long, or without a tokenizer.
    """
    if tokenizer is None:
        raise ValueError("max_tokens needs a tokenizer to count with: pass tokenizer=")
    lengths = token_counts(tokenizer, documents)
    shortened = []
    for document in documents:
        events: list[list[int]] = []  # [index of the first piece, index after the last, tokens]
        total, in_event = 0, False
        for i, (name, text) in enumerate(document.pieces):
            n_tokens = lengths[text] + (name is not None)
            total += n_tokens
            in_event = name == event or (name is None and in_event)
            if name == event:
                events.append([i, i + 1, n_tokens])
            elif in_event:
                events[-1] = [events[-1][0], i + 1, events[-1][2] + n_tokens]
        n_dropped, n_shortened, pieces = 0, 0, list(document.pieces)
        while total > max_tokens and n_dropped < len(events) - 1:  # the latest event is kept
            total -= events[n_dropped][2]
            n_dropped += 1
        if total > max_tokens and events:
            first = events[-1][0]
            name, text = pieces[first]
            room = lengths[text] - (total - max_tokens)
            if room >= SHORTEST:
                pieces[first] = (name, shorten(text, tokenizer, room))
                total, n_shortened = max_tokens, 1
        if total > max_tokens:
            latest = f", {events[-1][2]} of them the latest event's" if events else ""
            raise ValueError(
                f"max_tokens={max_tokens} is too few for {total} tokens{latest}, in the document "
                f"{document.text[:60]!r}…: allow more, or say less (fewer parts= or context=, a "
                "smaller max_chars=)"
            )
        dropped = {i for first, stop, _ in events[:n_dropped] for i in range(first, stop)}
        kept = tuple(piece for i, piece in enumerate(pieces) if i not in dropped)
        n_truncated = n_dropped + n_shortened
        fits = Document(kept, document.truncated + n_truncated) if n_truncated else document
        shortened.append(fits)
    return shortened


def shorten(text: str, tokenizer: Tokenizer, max_tokens: int) -> str:
    """Return a text, or if it has too many tokens its beginning and "…".

    Args:
        text: the text.
        tokenizer: counts the tokens.
        max_tokens: maximum number of tokens of the result; "…" is returned if nothing else fits.
    """
    if len(tokenizer.encode(text)) <= max_tokens:
        return text
    low, high = 0, len(text) - 1  # characters that fit, and that may fit
    while low < high:
        middle = (low + high + 1) // 2
        if len(tokenizer.encode(text[:middle].rstrip() + "…")) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def clean(text: str, where: str, *, quoted: bool = False, max_chars: int | None = None) -> str:
    """Clean a text so that it fits on one line.

    Control characters, line breaks and marks of text direction become spaces, and repeated spaces
    one space.

    Args:
        text: the text.
        where: name of the text in error messages.
        quoted: replace “ and ” by single ones, so that the text can be quoted with them.
        max_chars: longer texts are cut at a word boundary and end in "…".

    Raises:
        DataError: if the text contains a lone surrogate.
    """
    if lone := _SURROGATE.search(text):
        raise DataError(
            f"{where} has half a character (the lone surrogate {lone.group()!r}) at "
            f"position {lone.start()}: read the file as UTF-8, or drop it with "
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
