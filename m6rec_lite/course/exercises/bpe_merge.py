"""Exercise ``bpe_merge``: one merge."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Words = dict[tuple[str, ...], int]
Pair = tuple[str, str]


def _counts(words: Words) -> Counter[Pair]:
    counts: Counter[Pair] = Counter()
    for symbols, n in words.items():
        for pair in itertools.pairwise(symbols):
            counts[pair] += n
    return counts


def _best(counts: Counter[Pair]) -> Pair:
    return min(counts, key=lambda pair: (-counts[pair], pair))


def _joined(symbols: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    out: list[str] = []
    i = 0
    while i < len(symbols):
        if symbols[i : i + 2] == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return tuple(out)


def _with(words: Words, pair: Pair, join: Callable[..., tuple[str, ...]] = _joined) -> Words:
    return {join(symbols, pair): n for symbols, n in words.items()}


def _merge_once(words: Words) -> Words:
    counts = _counts(words)
    return _with(words, _best(counts)) if counts else dict(words)


def _ties_by_text(words: Words) -> Words:
    """Breaks ties by the joined text of a pair."""
    counts = _counts(words)
    return _with(words, min(counts, key=lambda pair: (-counts[pair], "".join(pair))))


def _no_pair_is_none(words: Words) -> Words | None:
    return _merge_once(words) if _counts(words) else None


def _once_a_word(words: Words) -> Words:
    """Counts a pair once in each word that has it."""
    counts: Counter[Pair] = Counter()
    for symbols, n in words.items():
        for pair in set(itertools.pairwise(symbols)):
            counts[pair] += n
    return _with(words, _best(counts))


def _in_text(symbols: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    return tuple(" ".join(symbols).replace(" ".join(pair), "".join(pair)).split(" "))


def _overlapping(symbols: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    out: list[str] = []
    for i, symbol in enumerate(symbols):
        if symbols[i : i + 2] == pair:
            out.append("".join(pair))
        elif i == 0 or symbols[i - 1 : i + 1] != pair:
            out.append(symbol)
    return tuple(out)


def _first_only(symbols: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    for i in range(len(symbols) - 1):
        if symbols[i : i + 2] == pair:
            return (*symbols[:i], "".join(pair), *symbols[i + 2 :])
    return symbols


_PAPER: Words = {
    ("h", "u", "g"): 10,
    ("p", "u", "g"): 5,
    ("p", "u", "n"): 12,
    ("b", "u", "n"): 4,
    ("h", "u", "g", "s"): 5,
}
_LONG: Words = {("ab", "c", "d"): 4, ("b", "c", "b", "c"): 3, ("x", "b", "c"): 1}

_WORDS: tuple[tuple[Words, str], ...] = (
    (_PAPER, "u g stands 20 times, u n 16 times"),
    ({("a", "b"): 1, ("a", "c"): 1, ("c", "d"): 5}, "words count as often as they occur"),
    ({("b", "a"): 2, ("a", "b"): 2}, "a tie: the first in alphabetical order"),
    ({("b", "c"): 2, ("c", "a"): 2, ("a", "b"): 2}, "three pairs tie"),
    (_LONG, "b c stands 7 times; in the first word c follows ab, which is another symbol"),
    ({("a", "a", "a", "b"): 3}, "a pair that overlaps itself: from the left"),
    (
        {("a", "bc"): 2, ("ab", "a"): 2},
        "a tie: a comes before ab, though the text aba comes before abc",
    ),
    ({("a",): 3, ("bc",): 1}, "no pair is left"),
    ({("n", "a", "n", "a"): 2, ("x", "y"): 3}, "a pair twice in one word"),
)

EXERCISE = Exercise(
    id="bpe_merge",
    title="One merge",
    cases=tuple(Case((words,), _merge_once(words), note=note) for words, note in _WORDS),
    known_wrong=(
        KnownWrong(
            lambda words: _with(words, _best(_counts(dict.fromkeys(words, 1)))),
            "Every word counts once, however often it occurs. A pair in a word that occurs 10 "
            "times has been met 10 times.",
        ),
        KnownWrong(
            _ties_by_text,
            "Ties are broken by the joined text. Compare the symbols: ('a', 'bc') comes before "
            "('ab', 'a').",
        ),
        KnownWrong(
            _no_pair_is_none,
            "Where no pair is left, nothing is joined: return the words as they are.",
        ),
        KnownWrong(
            _once_a_word,
            "A pair that stands twice in a word is counted once. Count all occurrences, not words "
            "that have it.",
        ),
        KnownWrong(
            lambda words: _with(words, _counts(words).most_common(1)[0][0]),
            "Of equally frequent pairs the one met first is taken. Ties go to the pair that comes "
            "first in alphabetical order; otherwise the order of the words decides.",
        ),
        KnownWrong(
            lambda words: _with(words, max(_counts(words), key=lambda p: (_counts(words)[p], p))),
            "Of equally frequent pairs the last in alphabetical order is taken; take the first. "
            "max() of (count, pair) turns both round: min() of (-count, pair) does not.",
        ),
        KnownWrong(
            lambda words: _with(words, _best(_counts(words)), _in_text),
            "Text is replaced, and the end of one symbol was taken for a symbol: in ('ab', 'c') "
            "there is no b. Compare whole symbols.",
        ),
        KnownWrong(
            lambda words: _with(words, _best(_counts(words)), _overlapping),
            "One symbol was used in two merges: a a a became aa aa, four letters from three. After "
            "a merge go on behind both of its symbols.",
        ),
        KnownWrong(
            lambda words: _with(words, _best(_counts(words)), _first_only),
            "Only the first occurrence in each word is merged. Merge all of them, from the left.",
        ),
        KnownWrong(
            lambda words: _with(words, _best(_counts(words))),
            "Where no pair is left, there is no smallest of nothing: return the words as they are.",
        ),
    ),
    hints=(
        "Two steps: count all pairs of neighbours, each as often as its word occurs; then join.",
        "min(counts, key=lambda pair: (-counts[pair], pair)) is the most frequent, ties in order.",
        "Walk along the symbols with an index: where the pair stands append it and go on by 2, "
        "else append the symbol and go on by 1.",
    ),
    notice="Repeat this four thousand times, on bytes instead of letters, and you have GPT-2's "
    "tokenizer. The order of the merges is all that it keeps.",
)
