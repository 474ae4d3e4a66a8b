"""Exercise ``continuation_probs``: Kneser-Ney's continuation counts."""

from __future__ import annotations

import itertools
from collections import Counter

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Sentences = list[list[str]]


def _pairs(sentences: Sentences) -> list[tuple[str, str]]:
    return [pair for sentence in sentences for pair in itertools.pairwise(sentence)]


def _across(sentences: Sentences) -> Sentences:
    return [list(itertools.chain(*sentences))]


def _continuation(sentences: Sentences) -> dict[str, float]:
    return _shares(Counter(word for _, word in set(_pairs(sentences))))


def _shares(counts: Counter[str], total: int | None = None) -> dict[str, float]:
    return {word: n / (total or counts.total()) for word, n in counts.items()}


_CITY = [
    ["san", "francisco", "is", "far"],
    ["san", "francisco", "is", "big"],
    ["we", "like", "boots"],
    ["i", "like", "boots"],
    ["she", "sells", "boots"],
]

EXERCISE = Exercise(
    id="continuation_probs",
    title="Kneser-Ney's continuation counts",
    cases=(
        Case(
            args=(_CITY,), expected=_continuation(_CITY), note="'francisco' is as frequent as 'is'"
        ),
        Case(args=([["a", "b", "a", "b", "c"]],), expected={"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        Case(args=([["a", "a"], ["b", "a"], ["c"]],), expected={"a": 1.0}),
        Case(
            args=([["very", "very", "good"]],),
            expected={"very": 1 / 2, "good": 1 / 2},
            note="a word stands before itself",
        ),
    ),
    known_wrong=(
        KnownWrong(
            lambda sentences: _shares(Counter(word for _, word in _pairs(sentences))),
            "That counts how often a word follows another; a pair that repeats is counted again. "
            "Count different words before it: each kind of pair once.",
        ),
        KnownWrong(
            lambda sentences: _shares(Counter(itertools.chain(*sentences))),
            "That is the frequency of the words, which Kneser and Ney wanted to be rid of. Count "
            "the different words before each.",
        ),
        KnownWrong(
            lambda sentences: _shares(Counter(first for first, _ in set(_pairs(sentences)))),
            "That counts the different words *after* each word. What matters is how many different "
            "words stand before it.",
        ),
        KnownWrong(
            lambda sentences: _shares(Counter(w for _, w in set(_pairs(sentences))), 1),
            "These are the counts. Divide by their sum, the number of different pairs, so that "
            "they are probabilities.",
        ),
        KnownWrong(
            lambda sentences: _shares(
                Counter(w for _, w in set(_pairs(sentences))), len(set(itertools.chain(*sentences)))
            ),
            "That divides by the size of the vocabulary, and the result does not sum to one. "
            "Divide by the number of different pairs.",
        ),
        KnownWrong(
            lambda sentences: _continuation(_across(sentences)),
            "Pairs run from the end of one sentence into the start of the next. Pair the tokens of "
            "each sentence by itself.",
        ),
        KnownWrong(
            lambda sentences: _shares(Counter(b for a, b in set(_pairs(sentences)) if a != b)),
            "Pairs of a word with itself are left out. In 'very very' a word stands before 'very': "
            "count it like any other.",
        ),
    ),
    hints=(
        "How many different words stand before 'francisco'? And before 'boots'?",
        "A set of pairs holds each pair once: {(first, second), …}.",
        "Count the second members of the set with a Counter; divide by the size of the set.",
    ),
    notice="'francisco' and 'is' each occur twice, after one word only; 'like' occurs twice after "
    "two different words, and is twice as likely in a place that nobody has seen.",
)
