"""Byte-pair encoding by hand: slow, short, and the same merges as the library's.

The most frequent pair of neighbouring symbols becomes a symbol of its own, again and again (Gage,
1994; Sennrich et al., 2016). ``tokenizer`` does it on bytes, with a library written in Rust.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence


def learn_merges(words: Mapping[str, int], n: int) -> list[tuple[str, str]]:
    """The first ``n`` merges of byte-pair encoding; fewer where no pair is left.

    Of equally frequent pairs the one whose symbols are older comes first: single characters in
    their order, then what was merged, in the order of merging. So does the library.

    Args:
        words: words and how often each occurs; merges stay within words.
        n: how many merges to learn.
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
    """A word in the pieces that the merges make of it: of the pairs in it, the oldest first."""
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
    """The symbols with every occurrence of the pair, from the left, joined into one."""
    joined: list[str] = []
    i = 0
    while i < len(symbols):
        size = 2 if (symbols[i], *symbols[i + 1 : i + 2]) == pair else 1
        joined.append("".join(symbols[i : i + size]))
        i += size
    return joined
