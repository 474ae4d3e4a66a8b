"""Prompts of a task's rows: as tokens for M6-Rec, as plain text for any causal language model.

``nn.sampling`` generates with the model of a generator. ``PrefixGenerator`` passes M6-Rec the known
region, which it reads with bidirectional attention, and the begun part of the written region.
``CausalGenerator`` passes the same rows, as lines of text, to a model with another tokenizer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from m6rec_lite.language.models.causal_lm import CausalLM
from m6rec_lite.language.text.document import Document, Piece
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec.model import M6RecModel


def read_document(tokenizer: Tokenizer, ids: Sequence[int] | np.ndarray) -> Document:
    """Decode tokens to a document, with a piece for each special token (``encode_document``).

    A piece without a special token is joined to the one before it: tokens do not distinguish them.
    """
    pieces: list[tuple[str | None, list[int]]] = []
    for token in map(int, ids):
        if token < len(SPECIALS):
            pieces.append((SPECIALS[token], []))
        elif not pieces:
            pieces.append((None, [token]))
        else:
            pieces[-1][1].append(token)
    return Document(tuple((name, tokenizer.decode(tokens)) for name, tokens in pieces))


def plain_text(document: Document) -> str:
    """Return a document as text: a line for each piece, ``___`` for each ``[MASK]``."""
    lines: list[str] = []
    for name, text in document.pieces:
        if name == "[MASK]" and lines:
            lines[-1] += f"___{text}"
        elif name is None and lines:
            lines[-1] += text
        elif text:
            lines.append(text)
    return "\n".join(lines)


class TextGenerator(ABC):
    """A language model that continues the rows of a task.

    Attributes:
        model: the language model.
        tokenizer: of the rows.
        stop: ids of the tokens that end a text.
    """

    model: M6RecModel | CausalLM
    tokenizer: Tokenizer
    stop: tuple[int, ...]

    @abstractmethod
    def prompt(self, known: np.ndarray, begun: np.ndarray) -> list[int]:
        """Return the prompt's tokens: a known region and the given part of the written one."""

    @abstractmethod
    def ending(self, rest: np.ndarray) -> list[int]:
        """Return the tokens of the rest of a written region, its ``[EOS]`` included."""

    @abstractmethod
    def document(self, ids: Sequence[int]) -> Document:
        """Return generated tokens as a document, without the token that ended them."""


class PrefixGenerator(TextGenerator):
    """M6-Rec as a generator.

    Args:
        model: the language model.
        tokenizer: of the model.

    Raises:
        ValueError: if the model was made for another tokenizer.
    """

    model: M6RecModel

    def __init__(self, model: M6RecModel, tokenizer: Tokenizer) -> None:
        model.config.check_tokenizer(tokenizer)
        self.model, self.tokenizer = model, tokenizer
        self.stop = (tokenizer.id("[EOS]"),)

    def prompt(self, known: np.ndarray, begun: np.ndarray) -> list[int]:
        """Return the tokens of both regions, concatenated."""
        return [*known.tolist(), *begun.tolist()]

    def ending(self, rest: np.ndarray) -> list[int]:
        """Return the tokens unchanged."""
        return rest.tolist()

    def document(self, ids: Sequence[int]) -> Document:
        """Return a piece for each special token."""
        ids = ids[:-1] if len(ids) and ids[-1] in self.stop else ids
        return read_document(self.tokenizer, ids)


class CausalGenerator(TextGenerator):
    """Any causal language model as a generator for the same tasks, from their text.

    Each piece of a known region becomes a line; the generated text ends at the end of its line.

    Args:
        model: such as ``CausalLM.from_pretrained(name)``.
        model_tokenizer: the model's tokenizer (``language.hub.load_tokenizer(name)``).
        tokenizer: of the examples.

    Raises:
        ValueError: if the model's tokenizer has no token that ends a text or a line.
    """

    model: CausalLM

    def __init__(self, model: CausalLM, model_tokenizer: Any, tokenizer: Tokenizer) -> None:
        self.model, self.model_tokenizer, self.tokenizer = model, model_tokenizer, tokenizer
        self._newline = self._encode("a\n")[len(self._encode("a")) :]
        ends = {model_tokenizer.eos_token_id, *self._newline[:1]} - {None}
        self.stop = tuple(sorted(ends))
        if not self.stop:
            raise ValueError("the model's tokenizer has no token for the end of a text or a line")

    def _encode(self, text: str) -> list[int]:
        return list(self.model_tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt(self, known: np.ndarray, begun: np.ndarray) -> list[int]:
        """Return the known region as lines, and the given part of the line to be written."""
        lines, line = (plain_text(read_document(self.tokenizer, part)) for part in (known, begun))
        ids = list(self.model_tokenizer(f"{lines}\n{line}")["input_ids"])
        return ids or [self.stop[0]]

    def ending(self, rest: np.ndarray) -> list[int]:
        """Return the rest of the line and the token that ends it."""
        text = plain_text(read_document(self.tokenizer, rest[:-1])).replace("\n", " ")
        end = self._newline[:1] or [self.model_tokenizer.eos_token_id]
        return [*self._encode(text), *end]

    def document(self, ids: Sequence[int]) -> Document:
        """Return the line as a single piece."""
        text = self.model_tokenizer.decode(
            [i for i in ids if i not in self.stop], skip_special_tokens=True
        )
        piece: Piece = (None, text.split("\n")[0])
        return Document((piece,))


def as_generator(model: M6RecModel | TextGenerator, tokenizer: Tokenizer | None) -> TextGenerator:
    """Return the model itself if it is a generator, else a ``PrefixGenerator`` of it.

    Raises:
        ValueError: if M6-Rec comes without a tokenizer.
    """
    if isinstance(model, TextGenerator):
        return model
    if tokenizer is None:
        raise ValueError(
            "these examples have no tokenizer, and M6-Rec reads and writes tokens: build them with "
            "a PromptBuilder, or give Examples(…, tokenizer=)"
        )
    return PrefixGenerator(model, tokenizer)
