"""The objectives of pretraining: predict masked spans of a document.

*Text infilling* masks short spans all over a document; *sentence generation* masks one whole
sentence (Cui et al., *M6-Rec*, 2022, section 3). The unmasked text is the user region, with one
``[MASK]`` for each span; the masked spans follow in the written region, in order::

    masked       A woman, Oslo. clicked a product named Alpine Trek Boots
                       ^^^^^                            ^^^^^^^^^^
    one row      [BOS'] A woman [MASK] clicked a product named [MASK] Boots [EOS']
                 [BOS] , Oslo. [MASK] Alpine Trek [EOS]

*Next event* masks the last event of a history, which is what every task asks (``LastEvent``).

In the written region a ``[MASK]`` separates the spans. The separator, the share of masked tokens
and the length of spans are choices of this project; the paper does not state its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from m6rec_lite.data.ragged import positions_in_rows
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer

#: Marks that end a sentence, if a space follows or the mark is Chinese. (A mark that the tokenizer
#: splits into several byte tokens is not recognized; marks of its training languages have one.)
_ENDS = (".", "!", "?", "。", "！", "？")
_CHINESE_ENDS = ("。", "！", "？")


class Objective(Protocol):
    """A way to mask tokens of documents."""

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Return the number of tokens of each document's row, ``(n,)``."""

    def take(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the mask of the tokens to predict, ``(total,)`` bool."""


@dataclass(frozen=True)
class Infilling:
    """Text infilling: mask random spans.

    Spans cover a share ``rate`` of the document's tokens, with ``mean_span`` tokens on average. The
    number of spans depends only on the document's length; their lengths and positions are uniform
    over all possibilities (Raffel et al., *T5*, 2020, section 3.1.4; the paper of M6-Rec does not
    state its distribution).

    Raises:
        ValueError: on a value out of range.
    """

    rate: float = 0.3
    mean_span: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError(f"rate must be above 0 and below 1, got {self.rate!r}")
        if self.mean_span < 1:
            raise ValueError(f"mean_span must be at least 1, got {self.mean_span!r}")

    def counts(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of masked tokens and of spans for documents of these lengths."""
        n_masked = np.clip(np.rint(self.rate * lengths).astype(np.int64), 1, lengths)
        spans = np.clip(np.rint(n_masked / self.mean_span).astype(np.int64), 1, n_masked)
        return n_masked, np.minimum(spans, lengths - n_masked + 1)

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Return the number of tokens of each document's row; lengths are at least 1."""
        return lengths + 2 * self.counts(lengths)[1] + 3

    def take(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the spans.

        Args:
            ids: ``(total,)`` tokens of the concatenated documents; their values do not matter.
            lengths: ``(n,)`` tokens of each, at least 1.
            rng: source of randomness.

        Returns:
            ``(total,)`` bool: the masked tokens.
        """
        n_masked, spans = self.counts(lengths)
        # Gaps and spans alternate: gap, span, gap, ..., span, gap. Only the first and the last gap
        # may be empty, so both are drawn with one token more, which is subtracted afterwards.
        gaps = _compose(lengths - n_masked + 2, spans + 1, rng)
        ends = np.cumsum(spans + 1)
        gaps[ends - 1] -= 1
        gaps[ends - spans - 1] -= 1
        sizes = np.zeros(len(gaps) + int(spans.sum()), dtype=np.int64)
        is_span = np.ones(len(sizes), dtype=bool)
        is_span[np.arange(len(gaps)) * 2 - np.repeat(np.arange(len(spans)), spans + 1)] = False
        sizes[~is_span], sizes[is_span] = gaps, _compose(n_masked, spans, rng)
        return np.repeat(is_span, sizes)


class SentenceGeneration:
    """Sentence generation: mask one sentence.

    A sentence ends at a full stop, or where a special token such as ``[EVENT]`` opens a new piece;
    that token is not masked, and shows the kind of the sentence. A document of a single sentence is
    masked completely, so that the model learns to generate such documents unconditionally.

    Args:
        tokenizer: of the documents.
        last: share of documents whose last sentence is masked, as in predicting the next event; in
            the others any sentence may be.

    Raises:
        ValueError: on a value out of range.
    """

    def __init__(self, tokenizer: Tokenizer, last: float = 0.5) -> None:
        if not 0 <= last <= 1:
            raise ValueError(f"last must be from 0 to 1, got {last!r}")
        self.last = last
        tokens = tokenizer.tokens(range(tokenizer.vocab_size))
        text = np.arange(len(tokens)) >= len(SPECIALS)
        self._text = text
        self._ends = text & [token.endswith(_ENDS) for token in tokens]
        self._chinese_ends = text & [token.endswith(_CHINESE_ENDS) for token in tokens]
        self._spaced = text & [token[:1].isspace() for token in tokens]

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Return the number of tokens of each document's row; lengths are at least 1."""
        return lengths + 5

    def begins(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the mask of the first token of every sentence, special tokens excluded."""
        before, here, starts = ids[:-1], ids[1:], np.cumsum(lengths) - lengths
        ended = (self._ends[before] & self._spaced[here]) | self._chinese_ends[before]
        begins = np.append(False, (ended | ~self._text[before]) & self._text[here])
        begins[starts] = self._text[ids[starts]]
        return begins

    def take(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the sentences; of a document without text the last token is masked.

        Args:
            ids: ``(total,)`` tokens of the concatenated documents.
            lengths: ``(n,)`` tokens of each, at least 1.
            rng: source of randomness.

        Returns:
            ``(total,)`` bool: the masked tokens.
        """
        begins = self.begins(ids, lengths)
        ends, number = np.cumsum(lengths), np.cumsum(begins)  # of sentences, over all documents
        before = number[ends - lengths] - begins[ends - lengths]  # sentences before each document
        last = number[ends - 1]
        drawn = before + 1 + (rng.random(len(lengths)) * (last - before)).astype(np.int64)
        drawn = np.where(rng.random(len(lengths)) < self.last, last, np.minimum(drawn, last))
        masked = self._text[ids] & (number == np.repeat(drawn, lengths))
        without = np.add.reduceat(masked.astype(np.int64), ends - lengths) == 0
        masked[ends[without] - 1] = True
        return masked


class LastEvent:
    """Next event: mask the text of the last event, to be written from the user and earlier events.

    Of a document that ends in ``[EVENT]clicked …``, the row is
    ``[BOS'] the user, the earlier events [EVENT] [MASK] [EOS'] [BOS] clicked … [EOS]``: the same
    tokens as the prompt of ``tasks.Ranking``. Of a document without events all is masked.

    Args:
        tokenizer: of the documents.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._event = tokenizer.id("[EVENT]")

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Return the number of tokens of each document's row; lengths are at least 1."""
        return lengths + 5

    def take(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Select the tokens after the last ``[EVENT]`` of each document; nothing is drawn.

        If it is the last token of a document, that token itself is masked.

        Args:
            ids: ``(total,)`` tokens of the concatenated documents.
            lengths: ``(n,)`` tokens of each, at least 1.
            rng: not used.

        Returns:
            ``(total,)`` bool: the masked tokens.
        """
        ends = np.cumsum(lengths)
        index = np.arange(len(ids))
        last = np.maximum.accumulate(np.where(ids == self._event, index, -1))[ends - 1]
        last = np.minimum(np.where(last < ends - lengths, ends - lengths - 1, last), ends - 2)
        return index > np.repeat(last, lengths)


@dataclass(frozen=True)
class Rows:
    """Masked documents as concatenated rows of tokens.

    Attributes:
        ids: ``(total,)`` int64: user region, then written region, of each row.
        lengths: ``(n,)`` tokens of each row.
        known: ``(n,)`` tokens of each user region, with ``[BOS']`` and ``[EOS']``.
        source: ``(total,)`` index in the documents of each token of a masked span; -1 for all
            other tokens.
    """

    ids: np.ndarray
    lengths: np.ndarray
    known: np.ndarray
    source: np.ndarray


def to_rows(
    ids: np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    masked_span: np.ndarray,
    tokenizer: Tokenizer,
) -> Rows:
    """Convert documents to rows: the unmasked text of each, then its masked spans.

    Args:
        ids: ``(total,)`` tokens of the concatenated documents.
        lengths: ``(n,)`` tokens of each, at least 1.
        masked_span: ``(total,)`` bool: the masked tokens, at least one of every document.
        tokenizer: supplies the special tokens.

    Raises:
        ValueError: if shapes do not fit, or a document is empty or has no masked token.
    """
    lengths, ids = np.asarray(lengths, dtype=np.int64), np.asarray(ids, dtype=np.int64)
    if lengths.sum() != len(ids) or len(masked_span) != len(ids) or (lengths < 1).any():
        raise ValueError(
            f"wanted lengths of at least 1 that add up to the {len(ids)} tokens, and masked_span "
            f"for each of these; got lengths that add up to {lengths.sum()}, and "
            f"{len(masked_span)}"
        )
    ends = np.cumsum(lengths)
    starts, document = ends - lengths, np.repeat(np.arange(len(lengths)), lengths)
    n_masked = np.add.reduceat(masked_span.astype(np.int64), starts)
    if (n_masked == 0).any():
        raise ValueError(f"nothing is taken out of document {int(np.argmin(n_masked))}")
    span_start = masked_span & ~np.append(False, masked_span[:-1])  # first token of each span
    span_start[starts] = masked_span[starts]
    spans = np.add.reduceat(span_start.astype(np.int64), starts)
    known = lengths - n_masked + spans + 2  # [BOS'] … [EOS']
    sizes = known + n_masked + spans + 1  # [BOS], a [MASK] between spans, [EOS]
    begin = np.cumsum(sizes) - sizes

    out = np.full(int(sizes.sum()), tokenizer.id("[MASK]"), dtype=np.int64)
    source = np.full(len(out), -1, dtype=np.int64)
    out[begin], out[begin + known - 1] = tokenizer.id("[BOS']"), tokenizer.id("[EOS']")
    out[begin + known], out[begin + sizes - 1] = tokenizer.id("[BOS]"), tokenizer.id("[EOS]")
    unmasked = np.flatnonzero(~masked_span)
    in_known = ~masked_span | span_start  # tokens of user regions, with a [MASK] for each span
    shown = in_known.cumsum()
    shown -= np.repeat(shown[starts] - in_known[starts], lengths)
    out[begin[document[unmasked]] + shown[unmasked]] = ids[unmasked]
    at = np.flatnonzero(masked_span)
    written = masked_span.cumsum() + span_start.cumsum()  # tokens and their masks up to here
    written -= np.repeat(
        written[starts] - masked_span[starts].astype(int) - span_start[starts], lengths
    )
    position = begin[document[at]] + known[document[at]] + written[at] - 1
    out[position], source[position] = ids[at], at
    return Rows(out, sizes, known, source)


def _compose(totals: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split each of ``totals`` into ``parts`` of at least 1, uniformly over all possibilities.

    Returns:
        ``(sum of parts,)`` sizes of the parts.
    """
    row = np.repeat(np.arange(len(totals)), totals)
    draw = rng.random(len(row))
    ends = np.cumsum(totals)
    draw[ends - 1] = 1.0  # after all others: the last part always ends there
    order = np.argsort(row + draw * 0.999_999, kind="stable")
    rank = np.empty(len(row), dtype=np.int64)
    rank[order] = positions_in_rows(totals)
    cut = rank < np.repeat(parts - 1, totals)
    cut[ends - 1] = True
    return np.diff(np.flatnonzero(cut), prepend=-1)
