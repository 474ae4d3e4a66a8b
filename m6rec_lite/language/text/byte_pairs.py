"""Byte-pair encoding in plain Python, with the same merges as the ``tokenizers`` library.

The most frequent pair of adjacent symbols is merged into a new symbol, repeatedly (Gage, 1994;
Sennrich et al., 2016). ``tokenizer`` uses the library, which works on bytes and is much faster.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence


def learn_merges(words: Mapping[str, int], n: int) -> list[tuple[str, str]]:
    """Learn the merges of byte-pair encoding.

    Among equally frequent pairs the one with the older symbols comes first: single characters in
    their order, then merged symbols in the order of merging. The library does the same.

    Args:
        words: number of occurrences of each word; merges do not cross words.
        n: number of merges.

    Returns:
        The merges in order; fewer than ``n`` if no pair is left.
    """
    pieces = {word: list(word) for word in words}
    age = {symbol: i for i, symbol in enumerate(sorted(set("".join(words))))}
    merges: list[tuple[str, str]] = []
    while len(merges) < n:
        counts: Counter[tuple[str, str]] = Counter()
        for word, symbols in pieces.items():
            for pair in itertools.pairwise(symbols):
                counts[pair] += words[word]
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], age[pair[0]], age[pair[1]]))
        pieces = {word: _join(symbols, best) for word, symbols in pieces.items()}
        age.setdefault("".join(best), len(age))
        merges.append(best)
    return merges


def apply_merges(word: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """Split a word into symbols by applying merges, the earliest learned first."""
    rank = {pair: i for i, pair in enumerate(merges)}
    symbols = list(word)
    while len(symbols) > 1:
        pairs = itertools.pairwise(symbols)
        best = min(pairs, key=lambda pair: rank.get(pair, len(rank)))
        if best not in rank:
            break
        symbols = _join(symbols, best)
    return symbols


def _join(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Merge every occurrence of a pair, from left to right."""
    joined: list[str] = []
    i = 0
    while i < len(symbols):
        size = 2 if (symbols[i], *symbols[i + 1 : i + 2]) == pair else 1
        joined.append("".join(symbols[i : i + size]))
        i += size
    return joined
