"""N-gram counts in sorted arrays, one table per order.

Words have ids ``0 … n_words - 1``; the id ``n_words`` marks the start of a sentence, which occurs
in contexts and is not counted as a word. An n-gram consists of its prefix (an index into the table
of the next lower order, called an entry) and its last word, encoded as one integer:

``key = prefix * n_words + word``.

The keys of each order are sorted. N-grams with the same prefix are therefore adjacent, a look-up is
a binary search, and many look-ups are one call of ``searchsorted``. Order 1 has no keys: the entry
of a word is its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tqdm.auto import tqdm

from m6rec_lite.data.ragged import positions_in_rows

UNSEEN = -1  # not in the training text
NO_CONTEXT = -2  # the text has no context of this length at this position


@dataclass(frozen=True, eq=False)
class TokenSequence:
    """Concatenated sentences.

    Attributes:
        tokens: ``(T,)`` int64 word ids, sentence marks included; ``UNSEEN`` is a gap.
        positions: ``(T,)`` int64, position within the sentence, from 0.
    """

    tokens: np.ndarray
    positions: np.ndarray

    @classmethod
    def from_ragged(
        cls, ids: np.ndarray, lengths: np.ndarray, start: int | None = None, end: int | None = None
    ) -> TokenSequence:
        """Concatenate sentences, each between the marks ``start`` and ``end`` if given.

        Args:
            ids: ``(sum of lengths,)`` word ids.
            lengths: ``(n,)`` number of words of each sentence.
            start: id to insert before each sentence.
            end: id to insert after each sentence.
        """
        first = int(start is not None)
        padded = lengths + first + (end is not None)
        begins = np.cumsum(padded) - padded
        positions = positions_in_rows(padded)
        inner = (positions >= first) & (positions < np.repeat(lengths + first, padded))
        tokens = np.empty(len(positions), dtype=np.int64)
        tokens[inner] = ids
        if start is not None:
            tokens[begins] = start
        if end is not None:
            tokens[begins + padded - 1] = end
        return cls(tokens, positions)


@dataclass(frozen=True, eq=False)
class Matches:
    """Table entries of each word of a text and of its contexts.

    Attributes:
        entries: ``(order, m)``; row ``k - 1`` has the entry of the k-gram that ends in the word.
        contexts: ``(order, m)``; row ``k - 1`` has the entry of the ``k - 1`` words before it, in
            the table of order ``k - 1``; row 0 (the empty context) is 0.
    """

    entries: np.ndarray
    contexts: np.ndarray


@dataclass(frozen=True, eq=False)
class Counts:
    """Count tables, one per order.

    Attributes:
        n_words: V, size of the vocabulary.
        keys: for orders 2, 3, …: sorted int64 keys, ``prefix * n_words + word``.
        values: for orders 1, 2, …: count of each entry, int64, or float64 if weighted. Order 1 has
            ``n_words + 1`` entries; the last is the start of a sentence, with a count of 0.
    """

    n_words: int
    keys: list[np.ndarray]
    values: list[np.ndarray]

    @property
    def order(self) -> int:
        """Maximum length of n-grams."""
        return len(self.values)

    def find(self, order: int, prefix: np.ndarray, word: np.ndarray) -> np.ndarray:
        """Return the entries of n-grams; ``UNSEEN`` if an n-gram did not occur.

        Args:
            order: length of the n-grams, at least 2.
            prefix: ``(m,)`` entries in the table of order ``order - 1``.
            word: ``(m,)`` word ids.
        """
        keys = self.keys[order - 2]
        wanted = np.where((prefix < 0) | (word < 0), UNSEEN, prefix * self.n_words + word)
        if len(keys) == 0:
            return np.full(wanted.shape, UNSEEN)
        entry = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[entry] == wanted, entry, UNSEEN)

    def level(self, order: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Return counts, prefix of each entry, and number of possible prefixes of an order.

        At order 1 all words have the one empty prefix.
        """
        if order == 1:
            return self.values[0][: self.n_words], np.zeros(self.n_words, dtype=np.int64), 1
        return self.values[order - 1], self.keys[order - 2] // self.n_words, self.size(order - 1)

    def size(self, order: int) -> int:
        """Return the number of entries of an order."""
        return len(self.values[order - 1])

    def words(self, order: int) -> np.ndarray:
        """Return the word ids of all n-grams of an order, ``(size, order)``."""
        table = np.empty((self.size(order), order), dtype=np.int64)
        entry = np.arange(self.size(order))
        for k in range(order, 1, -1):
            key = self.keys[k - 2][entry]
            table[:, k - 1], entry = key % self.n_words, key // self.n_words
        table[:, 0] = entry
        return table

    @cached_property
    def suffixes(self) -> list[np.ndarray]:
        """For orders 2, 3, …: entries of the n-grams without their first word."""
        suffixes: list[np.ndarray] = []
        for order, keys in enumerate(self.keys, start=2):
            prefix, word = keys // self.n_words, keys % self.n_words
            if order > 2:
                word = self.find(order - 1, suffixes[-1][prefix], word)
            suffixes.append(word)
        return suffixes

    def continuations(self, order: int) -> np.ndarray:
        """Count the distinct words before each n-gram: N1+(· w1 … wk) of Kneser and Ney.

        An n-gram that occurs only at the start of texts keeps its count, as in SRILM and KenLM.
        """
        c = self.level(order)[0]
        before = np.bincount(self.suffixes[order - 1], minlength=self.size(order))[: len(c)]
        return np.where(before > 0, before, c)

    def match(self, sequence: TokenSequence) -> Matches:
        """Look up all words of a text (without start marks) and their contexts."""
        tokens, positions = sequence.tokens, sequence.positions
        target = np.flatnonzero(tokens != self.n_words)  # all but the marks of a start
        entries = np.full((self.order, len(target)), UNSEEN)
        contexts = np.full((self.order, len(target)), NO_CONTEXT)
        entries[0], contexts[0] = tokens[target], 0
        ending = tokens  # (T,) entry of the (k-1)-gram that ends at each position
        for k in range(2, self.order + 1):
            last = np.flatnonzero(positions >= k - 1)
            longer = np.full(len(tokens), UNSEEN)
            longer[last] = self.find(k, ending[last - 1], tokens[last])
            entries[k - 1] = longer[target]
            has_context = positions[target] >= k - 1
            contexts[k - 1, has_context] = ending[target[has_context] - 1]
            ending = longer
        return Matches(entries, contexts)

    def contexts(self, words: np.ndarray) -> np.ndarray:
        """Return the entries of the last 0, 1, … words of each context.

        Args:
            words: ``(n, width)`` word ids; shorter contexts have ``NO_CONTEXT`` on the left.

        Returns:
            ``(order, n)``; row ``k - 1`` has the entries of the last ``k - 1`` words.
        """
        entries = np.full((self.order, len(words)), NO_CONTEXT)
        entries[0] = 0
        ending = words = words[:, max(0, words.shape[1] - self.order + 1) :]
        for k in range(2, words.shape[1] + 2):
            has_context = words[:, -(k - 1)] != NO_CONTEXT
            entries[k - 1, has_context] = ending[has_context, -1]
            if k <= words.shape[1]:
                ending = self.find(k, ending[:, :-1], words[:, k - 1 :])
        return entries


def count_ngrams(
    sequence: TokenSequence,
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
        sequence: the text; the id ``n_words`` marks the start of a sentence.
        n_words: size of the vocabulary.
        order: maximum length.
        weights: ``(T,)`` weight of an n-gram by its last word; None: 1.
        skips: maximum number of words left out before the last one (Guthrie et al., *A closer look
            at skip-gram modelling*, 2006).
        skip_weight: factor of the count per skipped word.
        progress: show a progress bar if it takes longer than two seconds.
    """
    tokens, positions = sequence.tokens, sequence.positions
    weighted = weights is not None or (skips > 0 and skip_weight != 1.0)
    amount = np.ones(len(tokens)) if weights is None else weights
    single = np.bincount(tokens, amount if weighted else None, minlength=n_words + 1)
    single[n_words] = 0
    keys, values = [], [single]
    ending = tokens  # (T,) entry of the (k-1)-gram that ends at each position
    orders = range(2, order + 1)
    for k in tqdm(orders, "counting n-grams", delay=2, leave=False, disable=not progress):
        last = [np.flatnonzero(positions >= k - 1 + gap) for gap in range(skips + 1)]
        new_keys = [ending[t - 1 - gap] * n_words + tokens[t] for gap, t in enumerate(last)]
        parts = None
        if weighted:
            parts = np.concatenate([amount[t] * skip_weight**gap for gap, t in enumerate(last)])
        key, value, entry = _count_keys(np.concatenate(new_keys), parts, len(values[-1]) * n_words)
        keys.append(key)
        values.append(value)
        ending = np.full(len(tokens), UNSEEN)
        ending[last[0]] = entry[: len(last[0])]
    return Counts(n_words, keys, values)


def _count_keys(
    keys: np.ndarray, amounts: np.ndarray | None, bound: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct keys in order, the sum of amounts of each, and the index of each key.

    Args:
        keys: ``(m,)`` from 0 to ``bound - 1``.
        amounts: ``(m,)`` above 0; None: 1 each.
        bound: number of possible keys; if it is small, an array over all keys replaces sorting.
    """
    if bound <= 8 * len(keys) + 2**20:
        sums = np.bincount(keys, amounts, minlength=bound)
        occurs = sums > 0
        return np.flatnonzero(occurs), sums[occurs], (np.cumsum(occurs) - 1)[keys]
    distinct, index = np.unique(keys, return_inverse=True)
    return distinct, np.bincount(index, amounts, minlength=len(distinct)), index
