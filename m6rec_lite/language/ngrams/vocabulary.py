"""Vocabulary: ids of tokens, unknown tokens, and sentence boundaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from m6rec_lite.language.ngrams.counts import UNSEEN, TokenSequence

Sentences = Iterable[Sequence[Hashable]]


class Vocabulary:
    """Map tokens to ids.

    Args:
        tokens: distinct tokens; their ids follow their order.
        unknown: replaces all other tokens; it is added at the end if it is not in ``tokens``. None
            for a closed vocabulary.
        edges: tokens for the start and the end of a sentence. The end is added after ``tokens``.
            The start is never predicted: it is not part of the vocabulary, and its id is V.

    Attributes:
        tokens: the V tokens that can be predicted.

    Raises:
        ValueError: if a token occurs twice, or is the start of a sentence.
    """

    def __init__(
        self,
        tokens: Iterable[Hashable],
        unknown: Hashable | None = "<unk>",
        edges: tuple[Hashable, Hashable] | None = ("<s>", "</s>"),
    ) -> None:
        listed = as_list(tokens)
        index = {token: i for i, token in enumerate(listed)}
        if len(index) < len(listed):
            repeated = [token for token, count in Counter(listed).items() if count > 1]
            raise ValueError(f"the vocabulary names some tokens twice: {repeated[:5]}")
        if edges is not None:
            if edges[0] in index:
                raise ValueError(
                    f"{edges[0]!r} is among the tokens and marks the start of a sentence too: give "
                    "edges=None if the text has its own marks, or other edges"
                )
            index.setdefault(edges[1], len(index))
        if unknown is not None:
            index.setdefault(unknown, len(index))
        self.tokens: list[Hashable] = list(index)
        if edges is not None:
            index[edges[0]] = len(index)
        self.unknown, self.edges, self._index = unknown, edges, index

    @classmethod
    def from_text(
        cls,
        tokens: Sequence[Hashable],
        min_count: int = 1,
        unknown: Hashable | None = "<unk>",
        edges: tuple[Hashable, Hashable] | None = ("<s>", "</s>"),
    ) -> Vocabulary:
        """Create a vocabulary of the tokens with at least ``min_count`` occurrences."""
        try:
            counts = Counter(tokens) if min_count > 1 else dict.fromkeys(tokens, 1)
        except TypeError as error:
            raise TypeError(f"tokens must be hashable (words, numbers, tuples): {error}") from error
        return cls((t for t, count in counts.items() if count >= min_count), unknown, edges)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, token: Hashable) -> int:
        """Return the id of a token, or that of ``unknown``."""
        return int(self.encode([token], marks=True)[0])

    def encode(self, tokens: Iterable[Hashable], *, marks: bool = False) -> np.ndarray:
        """Return the ids of tokens.

        Args:
            tokens: a list of tokens, not a string.
            marks: whether sentence marks are allowed.

        Returns:
            ``(n,)`` int64.

        Raises:
            ValueError: if the vocabulary is closed and a token unknown, or on a sentence mark.
            TypeError: on a string, or a token that cannot be hashed.
        """
        if isinstance(tokens, str):
            raise TypeError(f"tokens must be a list, got the string {tokens!r}: split it first")
        tokens = as_list(tokens)
        other = UNSEEN if self.unknown is None else self._index[self.unknown]
        get = self._index.get
        try:
            ids = np.fromiter((get(token, other) for token in tokens), np.int64, len(tokens))
        except TypeError as error:
            raise TypeError(f"tokens must be hashable (words, numbers, tuples): {error}") from error
        if (ids == UNSEEN).any():
            unknown = list(dict.fromkeys(t for t in tokens if t not in self._index))
            raise ValueError(
                f"unknown tokens {unknown[:5]}: the vocabulary of {len(self)} is closed "
                "(unknown=None); leave them out, or let unknown be a token"
            )
        if self.edges is not None and not marks:
            is_mark = np.isin(ids, [self._index[token] for token in self.edges])
            if is_mark.any():
                raise ValueError(
                    f"the text contains {tokens[int(is_mark.argmax())]!r}, which marks the edge of "
                    "a sentence here: give edges=None if the text has its own marks"
                )
        return ids

    def sequence(self, ids: np.ndarray, lengths: np.ndarray) -> TokenSequence:
        """Return concatenated sentences, each between its marks.

        Args:
            ids: ``(sum of lengths,)`` token ids.
            lengths: ``(n,)`` number of tokens of each sentence.

        Raises:
            ValueError: if lengths and ids do not agree, or an id is out of range.
        """
        ids, lengths = np.asarray(ids, dtype=np.int64), np.asarray(lengths, dtype=np.int64)
        if lengths.sum() != len(ids) or (lengths < 0).any():
            raise ValueError(f"lengths add up to {lengths.sum()}, and there are {len(ids)} ids")
        if len(ids) and (ids.min() < 0 or ids.max() >= len(self)):
            raise ValueError(
                f"ids must lie between 0 and {len(self) - 1}, the indices of the vocabulary; got "
                f"{ids.min()} to {ids.max()}"
            )
        marks = () if self.edges is None else (self._index[token] for token in self.edges)
        return TokenSequence.from_ragged(ids, lengths, *marks)

    def weights(self, weights: np.ndarray | Sequence[float], lengths: np.ndarray) -> np.ndarray:
        """Return the weights for ``sequence``; a sentence's end has the weight of its last token.

        Raises:
            ValueError: unless there is one finite weight above 0 per token.
        """
        flat = np.asarray(weights, dtype=np.float64)
        if len(flat) != lengths.sum() or not ((flat > 0) & np.isfinite(flat)).all():
            raise ValueError(
                f"weights must be {lengths.sum()} finite numbers above 0, one for each token"
            )
        if self.edges is None:
            return flat
        ends = np.cumsum(lengths + 2) - 1
        amounts = np.ones(lengths.sum() + 2 * len(lengths))
        inner = np.ones(len(amounts), dtype=bool)
        inner[ends] = inner[ends - lengths - 1] = False
        amounts[inner] = flat
        amounts[ends] = amounts[ends - 1]
        return amounts


def as_list(tokens: Iterable[Hashable]) -> list[Hashable]:
    """Return a list of tokens; numbers of an array become Python numbers."""
    return tokens.tolist() if isinstance(tokens, np.ndarray) else list(tokens)


def flatten(
    sentences: Iterable[Sequence[Any]], what: str = "sentences"
) -> tuple[list[Any], np.ndarray]:
    """Return all tokens in one list, and the length of each sentence.

    Raises:
        TypeError: if a sentence is not a list of tokens; ``what`` names the argument.
    """
    if isinstance(sentences, str):
        raise TypeError(f"{what} must be lists of tokens, got a string: split it first")
    rows = []
    for row in sentences:
        if isinstance(row, str) or not isinstance(row, Iterable):
            raise TypeError(
                f"{what} must be lists of tokens, and one of them is {row!r}: split it into tokens "
                "(into letters with list(text)); a single sentence is a list of one list"
            )
        rows.append(as_list(row))
    return list(chain.from_iterable(rows)), np.array([len(row) for row in rows], dtype=np.int64)
