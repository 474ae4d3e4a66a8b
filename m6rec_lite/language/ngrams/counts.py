"""Counts of n-grams in sorted arrays: a trie without pointers, pairs of (prefix, next word).

Words are numbers ``0 … n_words - 1``, and one more number, ``n_words``, marks the start of a
sentence: it stands before words and is never itself counted as one. An n-gram is its prefix (an
entry of the table one order below) and its last word, so one integer names it:

``key = prefix * n_words + word``.

Each order keeps its keys sorted, beside their counts. Followers of one prefix then lie side by
side, a look-up is a binary search, and a million look-ups are one call of ``searchsorted``. Of
order 1 no keys are needed: the entry of a word is the word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tqdm.auto import tqdm

from m6rec_lite.data.ragged import positions_in_rows

UNSEEN = -1  # looked for and never met in training
NONE = -2  # not looked for: the text holds no context that long at this place


@dataclass(frozen=True, eq=False)
class Stream:
    """Sentences end to end.

    Attributes:
        tokens: ``(T,)`` int64 word numbers, marks of edges included; ``UNSEEN`` is a gap.
        place: ``(T,)`` int64, place within the sentence, from 0.
    """

    tokens: np.ndarray
    place: np.ndarray

    @classmethod
    def from_ragged(
        cls, ids: np.ndarray, lengths: np.ndarray, start: int | None = None, end: int | None = None
    ) -> Stream:
        """Lay sentences end to end, each between the marks ``start`` and ``end`` if given.

        Args:
            ids: ``(sum of lengths,)`` word numbers.
            lengths: ``(n,)``, words of each sentence.
            start: put before each sentence.
            end: put after each.
        """
        first = int(start is not None)
        padded = lengths + first + (end is not None)
        begins = np.cumsum(padded) - padded
        place = positions_in_rows(padded)
        inner = (place >= first) & (place < np.repeat(lengths + first, padded))
        tokens = np.empty(len(place), dtype=np.int64)
        tokens[inner] = ids
        if start is not None:
            tokens[begins] = start
        if end is not None:
            tokens[begins + padded - 1] = end
        return cls(tokens, place)


@dataclass(frozen=True, eq=False)
class Matches:
    """Where each word of a text, and the context before it, lie in the tables.

    Attributes:
        entries: ``(order, m)`` entry of the k-gram that ends in the word, at row ``k - 1``.
        contexts: ``(order, m)`` entry, one table below, of the ``k - 1`` words before it; at row
            0, where the context is empty, all are 0.
    """

    entries: np.ndarray
    contexts: np.ndarray


@dataclass(frozen=True, eq=False)
class Counts:
    """The tables, one an order.

    Attributes:
        n_words: V, size of the vocabulary.
        keys: of orders 2, 3, …: sorted int64, ``prefix * n_words + word``.
        values: of orders 1, 2, …: how often each entry occurred, int64, or float64 if weighted.
            That of order 1 has ``n_words + 1`` entries, the last the mark of a start, counted 0.
    """

    n_words: int
    keys: list[np.ndarray]
    values: list[np.ndarray]

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.values)

    def find(self, order: int, prefix: np.ndarray, word: np.ndarray) -> np.ndarray:
        """Entries of n-grams of an order of at least 2; ``UNSEEN`` where there is none.

        Args:
            order: length of the n-grams.
            prefix: ``(m,)`` entries of the table below.
            word: ``(m,)`` word numbers.
        """
        keys = self.keys[order - 2]
        wanted = np.where((prefix < 0) | (word < 0), UNSEEN, prefix * self.n_words + word)
        if len(keys) == 0:
            return np.full(wanted.shape, UNSEEN)
        entry = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[entry] == wanted, entry, UNSEEN)

    def level(self, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """One order's counts ``c``, each entry's prefix, and the number of possible prefixes.

        At order 1 the words alone, under the one empty prefix.
        """
        if order == 1:
            return self.values[0][: self.n_words], np.zeros(self.n_words, dtype=np.int64), 1
        return self.values[order - 1], self.keys[order - 2] // self.n_words, self.size(order - 1)

    def size(self, order: int) -> int:
        """Entries in the table of one order."""
        return len(self.values[order - 1])

    def words(self, order: int) -> np.ndarray:
        """``(size, order)`` the words of every n-gram of one order."""
        table = np.empty((self.size(order), order), dtype=np.int64)
        entry = np.arange(self.size(order))
        for k in range(order, 1, -1):
            key = self.keys[k - 2][entry]
            table[:, k - 1], entry = key % self.n_words, key // self.n_words
        table[:, 0] = entry
        return table

    @cached_property
    def suffixes(self) -> list[np.ndarray]:
        """Of orders 2, 3, …: the entry, one table below, of the n-gram without its first word."""
        found: list[np.ndarray] = []
        for order, keys in enumerate(self.keys, start=2):
            prefix, word = keys // self.n_words, keys % self.n_words
            found.append(word if order == 2 else self.find(order - 1, found[-1][prefix], word))
        return found

    def continuations(self, order: int) -> np.ndarray:
        """How many different words stand before each n-gram: N1+(· w1 … wk) of Kneser and Ney.

        What only ever begins a text has no word before it and keeps its plain count, as in
        SRILM and KenLM.
        """
        c = self.level(order)[0]
        before = np.bincount(self.suffixes[order - 1], minlength=self.size(order))[: len(c)]
        return np.where(before > 0, before, c)

    def match(self, stream: Stream) -> Matches:
        """Find every word of a text, marks of a start left out, and every context before it."""
        tokens, place = stream.tokens, stream.place
        target = np.flatnonzero(tokens != self.n_words)  # all but the marks of a start
        entries = np.full((self.order, len(target)), UNSEEN)
        contexts = np.full((self.order, len(target)), NONE)
        entries[0], contexts[0] = tokens[target], 0
        ending = tokens  # (T,) entry of the (k-1)-gram that ends at each place
        for k in range(2, self.order + 1):
            there = np.flatnonzero(place >= k - 1)
            longer = np.full(len(tokens), UNSEEN)
            longer[there] = self.find(k, ending[there - 1], tokens[there])
            entries[k - 1] = longer[target]
            asked = place[target] >= k - 1
            contexts[k - 1, asked] = ending[target[asked] - 1]
            ending = longer
        return Matches(entries, contexts)

    def contexts(self, words: np.ndarray) -> np.ndarray:
        """Entries of the last 0, 1, … words of each context.

        Args:
            words: ``(n, width)`` word numbers, ``NONE`` on the left of a shorter context.

        Returns:
            ``(order, n)``: row ``k - 1`` is the entry of the last ``k - 1`` words.
        """
        found = np.full((self.order, len(words)), NONE)
        found[0] = 0
        ending = words = words[:, max(0, words.shape[1] - self.order + 1) :]
        for k in range(2, words.shape[1] + 2):
            given = words[:, -(k - 1)] != NONE
            found[k - 1, given] = ending[given, -1]
            ending = self.find(k, ending[:, :-1], words[:, k - 1 :]) if k <= words.shape[1] else []
        return found


def count_ngrams(
    stream: Stream,
    n_words: int,
    order: int,
    *,
    weights: np.ndarray | None = None,
    skips: int = 0,
    skip_weight: float = 1.0,
    progress: bool = True,
) -> Counts:
    """Count the n-grams of every length up to ``order``.

    Args:
        stream: the text; ``n_words`` marks starts.
        n_words: size of the vocabulary.
        order: the longest.
        weights: ``(T,)`` what an n-gram counts, by its last word; None counts each as 1.
        skips: how many words may be left out before the last one (Guthrie et al., *A closer look
            at skip-gram modelling*, 2006).
        skip_weight: what a skipped word multiplies the count by.
        progress: show a bar where it takes longer than two seconds.
    """
    tokens, place = stream.tokens, stream.place
    weighted = weights is not None or (skips > 0 and skip_weight != 1.0)
    amount = np.ones(len(tokens)) if weights is None else weights
    single = np.bincount(tokens, amount if weighted else None, minlength=n_words + 1)
    single[n_words] = 0
    keys, values = [], [single]
    ending = tokens  # (T,) entry of the (k-1)-gram that ends at each place
    orders = range(2, order + 1)
    for k in tqdm(orders, "counting n-grams", delay=2, leave=False, disable=not progress):
        last = [np.flatnonzero(place >= k - 1 + gap) for gap in range(skips + 1)]
        found = [ending[t - 1 - gap] * n_words + tokens[t] for gap, t in enumerate(last)]
        parts = None
        if weighted:
            parts = np.concatenate([amount[t] * skip_weight**gap for gap, t in enumerate(last)])
        key, value, entry = _tally(np.concatenate(found), parts, len(values[-1]) * n_words)
        keys.append(key)
        values.append(value)
        ending = np.full(len(tokens), UNSEEN)
        ending[last[0]] = entry[: len(last[0])]
    return Counts(n_words, keys, values)


def _tally(
    keys: np.ndarray, amounts: np.ndarray | None, bound: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different keys, sorted; the sum of each one's amounts; the place of each key among them.

    Args:
        keys: ``(m,)`` from 0 to ``bound - 1``.
        amounts: ``(m,)`` above 0; None counts.
        bound: where it is small, one slot a possible key spares the sorting.
    """
    if bound <= 8 * len(keys) + 2**20:
        sums = np.bincount(keys, amounts, minlength=bound)
        there = sums > 0
        return np.flatnonzero(there), sums[there], (np.cumsum(there) - 1)[keys]
    kinds, place = np.unique(keys, return_inverse=True)
    return kinds, np.bincount(place, amounts, minlength=len(kinds)), place
