"""The two objectives of pretraining, which are one: take something out, and write it again.

*Text infilling* takes out short spans all over a document; *sentence generation* takes out one
whole sentence (Cui et al., *M6-Rec*, 2022, section 3). What is left is the user region, with one
``[MASK]`` for each span; what was taken is written behind it, span after span::

    taken out    A woman, Oslo. clicked a product named Alpine Trek Boots
                       ^^^^^                            ^^^^^^^^^^
    one row      [BOS'] A woman [MASK] clicked a product named [MASK] Boots [EOS']
                 [BOS] , Oslo. [MASK] Alpine Trek [EOS]

The ``[MASK]`` between two spans says "that was the first, now the second". It, the share of tokens
taken out and the length of spans are choices of this project; the paper's are not known to us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from m6rec_lite.data.ragged import positions_in_rows
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer

#: Marks that end a sentence, if a space follows or the mark is Chinese. (A mark that the tokenizer
#: writes in several tokens, byte by byte, is not seen; in a language it was trained on it has one.)
_ENDS = (".", "!", "?", "。", "！", "？")
_CHINESE_ENDS = ("。", "！", "？")


class Objective(Protocol):
    """A way to take something out of documents."""

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """``(n,)`` tokens of the rows that documents of these lengths make."""

    def take(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """``(total,)`` bool: what is taken out."""


@dataclass(frozen=True)
class Infilling:
    """How text infilling draws its spans.

    Spans share out ``rate`` of the document's tokens, ``mean_span`` each on average: their number
    is fixed by the document's length, their lengths and places are uniform over all ways to place
    them (Raffel et al., *T5*, 2020, section 3.1.4; the paper of M6-Rec does not say how it draws).

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
        """``(n,)`` tokens taken, and ``(n,)`` spans, of documents of these lengths."""
        taken = np.clip(np.rint(self.rate * lengths).astype(np.int64), 1, lengths)
        spans = np.clip(np.rint(taken / self.mean_span).astype(np.int64), 1, taken)
        return taken, np.minimum(spans, lengths - taken + 1)

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """``(n,)`` tokens of the rows that documents of these lengths (at least 1) make."""
        return lengths + 2 * self.counts(lengths)[1] + 3

    def take(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the spans.

        Args:
            ids: ``(total,)`` documents end to end; what they say plays no part.
            lengths: ``(n,)`` tokens of each, at least 1.
            rng: where from.

        Returns:
            ``(total,)`` bool: what is taken out.
        """
        taken, spans = self.counts(lengths)
        # Spans and what is left alternate: left, span, left, ..., span, left. Only the first and
        # the last stretch that is left may be empty, so both get a token more, taken back later.
        left = _compose(lengths - taken + 2, spans + 1, rng)
        ends = np.cumsum(spans + 1)
        left[ends - 1] -= 1
        left[ends - spans - 1] -= 1
        stretches = np.zeros(len(left) + int(spans.sum()), dtype=np.int64)
        is_span = np.ones(len(stretches), dtype=bool)
        is_span[np.arange(len(left)) * 2 - np.repeat(np.arange(len(spans)), spans + 1)] = False
        stretches[~is_span], stretches[is_span] = left, _compose(taken, spans, rng)
        return np.repeat(is_span, stretches)


class SentenceGeneration:
    """How sentence generation chooses its sentence.

    A sentence ends at a full stop, or where a special token such as ``[EVENT]`` opens a new piece;
    that token stays, and says what kind of sentence is wanted. Of a document of one sentence
    nothing is left, and the model learns to write such a document from nothing.

    Args:
        tokenizer: what its tokens look like is looked up once.
        last: share of documents of which the last sentence is taken: then nothing later is seen,
            as when the next event is to be foretold. Of the others any sentence is.

    Raises:
        ValueError: on a value out of range.
    """

    def __init__(self, tokenizer: Tokenizer, last: float = 0.5) -> None:
        if not 0 <= last <= 1:
            raise ValueError(f"last must be from 0 to 1, got {last!r}")
        self.last = last
        shown = tokenizer.tokens(range(tokenizer.vocab_size))
        text = np.arange(len(shown)) >= len(SPECIALS)
        self._text = text
        self._ends = text & [token.endswith(_ENDS) for token in shown]
        self._ends_anyhow = text & [token.endswith(_CHINESE_ENDS) for token in shown]
        self._spaced = text & [token[:1].isspace() for token in shown]

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """``(n,)`` tokens of the rows that documents of these lengths (at least 1) make."""
        return lengths + 5

    def begins(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """``(sum of lengths,)`` bool: the first token of every sentence, special ones left out."""
        before, here, starts = ids[:-1], ids[1:], np.cumsum(lengths) - lengths
        ended = (self._ends[before] & self._spaced[here]) | self._ends_anyhow[before]
        begins = np.append(False, (ended | ~self._text[before]) & self._text[here])
        begins[starts] = self._text[ids[starts]]
        return begins

    def take(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the sentences; of a document without text its last token is taken.

        Args:
            ids: ``(total,)`` documents end to end.
            lengths: ``(n,)`` tokens of each, at least 1.
            rng: where from.

        Returns:
            ``(total,)`` bool: what is taken out.
        """
        begins = self.begins(ids, lengths)
        ends, number = np.cumsum(lengths), np.cumsum(begins)  # of the sentence, over all documents
        before = number[ends - lengths] - begins[ends - lengths]  # sentences before each document
        last = number[ends - 1]
        drawn = before + 1 + (rng.random(len(lengths)) * (last - before)).astype(np.int64)
        drawn = np.where(rng.random(len(lengths)) < self.last, last, np.minimum(drawn, last))
        taken = self._text[ids] & (number == np.repeat(drawn, lengths))
        nothing = np.add.reduceat(taken.astype(np.int64), ends - lengths) == 0
        taken[ends[nothing] - 1] = True
        return taken


@dataclass(frozen=True)
class Rows:
    """Documents with something taken out, as rows of one sequence each, end to end.

    Attributes:
        ids: ``(total,)`` int64: user region, then what is to be written.
        lengths: ``(n,)`` tokens of each row.
        known: ``(n,)`` tokens of its user region, ``[BOS']`` and ``[EOS']`` included.
        source: ``(total,)`` where in the documents each written token comes from; -1 for all
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
    """Write documents as rows: what is left of each, then what was taken out of it.

    Args:
        ids: ``(total,)`` documents end to end.
        lengths: ``(n,)`` tokens of each, at least 1.
        masked_span: ``(total,)`` bool: what is taken out; something of every document.
        tokenizer: for its special tokens.

    Raises:
        ValueError: if shapes do not fit, a document is empty or nothing is taken out of it.
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
    kept = np.flatnonzero(~masked_span)
    shows = (
        ~masked_span | span_start
    ).cumsum()  # tokens of user regions up to here, masks included
    shows -= np.repeat(shows[starts] - (~masked_span | span_start)[starts], lengths)
    out[begin[document[kept]] + shows[kept]] = ids[kept]
    at = np.flatnonzero(masked_span)
    written = masked_span.cumsum() + span_start.cumsum()  # tokens and their masks up to here
    written -= np.repeat(
        written[starts] - masked_span[starts].astype(int) - span_start[starts], lengths
    )
    place = begin[document[at]] + known[document[at]] + written[at] - 1
    out[place], source[place] = ids[at], at
    return Rows(out, sizes, known, source)


def _compose(totals: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut each of ``totals`` into so many ``parts`` of at least 1, all ways being as likely.

    Returns:
        ``(sum of parts,)`` sizes of the parts.
    """
    row = np.repeat(np.arange(len(totals)), totals)
    draw = rng.random(len(row))
    ends = np.cumsum(totals)
    draw[ends - 1] = 1.0  # behind all others: the last part ends there anyhow
    order = np.argsort(row + draw * 0.999_999, kind="stable")
    rank = np.empty(len(row), dtype=np.int64)
    rank[order] = positions_in_rows(totals)
    cut = rank < np.repeat(parts - 1, totals)
    cut[ends - 1] = True
    return np.diff(np.flatnonzero(cut), prepend=-1)
