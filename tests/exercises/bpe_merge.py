"""Right answers to ``bpe_merge``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.bpe_merge import Words, _best, _counts, _merge_once


def _by_marks(words: Words) -> Words:
    """The same with a mark around each symbol, so that text can be replaced."""
    counts = _counts(words)
    if not counts:
        return words
    a, b = _best(counts)
    merged = {}
    for symbols, n in words.items():
        line = "".join(f"<{symbol}>" for symbol in symbols).replace(f"<{a}><{b}>", f"<{a + b}>")
        merged[tuple(line[1:-1].split("><"))] = n
    return merged


CORRECT = (_merge_once, _by_marks)

EQUIVALENT = {
    "counts[pair] = counts.get(pair, 1) + n": (
        "every pair counts one more, so the most frequent stays"
    ),
    "counts[pair] = counts.get(pair, -1) + n": (
        "every pair counts one less, so the most frequent stays"
    ),
}
