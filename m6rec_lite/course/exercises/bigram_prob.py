"""Exercise ``bigram_prob``: a probability of 1/2 that should be 1."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Sentences = list[list[str]]


def _pairs(sentences: Sentences) -> list[tuple[str, str]]:
    return [pair for sentence in sentences for pair in itertools.pairwise(sentence)]


def _in_text(sentences: Sentences, prefix: str, word: str) -> float:
    text = " ".join(" ".join(sentence) for sentence in sentences)
    return text.count(f"{prefix} {word}") / text.count(prefix)


def _quotient(
    pair: Callable[[Sentences, str, str], int], whole: Callable[[Sentences, str, str], int]
) -> Callable[[Sentences, str, str], float]:
    """An estimate from two counts, 0 where the second is."""

    def prob(sentences: Sentences, prefix: str, word: str) -> float:
        total = whole(sentences, prefix, word)
        return pair(sentences, prefix, word) / total if total else 0.0

    return prob


def _count(sentences: Sentences, prefix: str, word: str) -> int:
    return _pairs(sentences).count((prefix, word))


def _followed(sentences: Sentences, prefix: str, word: str) -> int:
    return sum(first == prefix for first, _ in _pairs(sentences))


def _first_after(sentence: list[str], prefix: str) -> str | None:
    """What follows the first occurrence that something follows."""
    return next((b for a, b in itertools.pairwise(sentence) if a == prefix), None)


def _across(sentences: Sentences) -> Sentences:
    return [list(itertools.chain(*sentences))]


_bigram = _quotient(_count, _followed)
_BAKING = [["i", "read", "about", "bread"]]
_BOOTS = [
    ["the", "boots", "are", "good"],
    ["the", "boots", "are", "not", "good"],
    ["good", "boots", "indeed"],
]

EXERCISE = Exercise(
    id="bigram_prob",
    title="A probability of 1/2 that should be 1",
    cases=(
        Case(args=(_BAKING, "read", "about"), expected=1.0, note="'read' occurs once"),
        Case(args=(_BOOTS, "are", "good"), expected=0.5),
        Case(args=(_BOOTS, "good", "boots"), expected=1.0, note="'good' ends two sentences"),
        Case(args=(_BOOTS, "good", "the"), expected=0.0, note="only across an edge"),
        Case(args=(_BOOTS, "indeed", "the"), expected=0.0, note="nothing follows 'indeed'"),
        Case(args=(_BOOTS, "boots", "are"), expected=2 / 3),
        Case(
            args=([["a", "b", "a", "c", "a", "c"], ["a", "b"]], "a", "c"),
            expected=0.5,
            note="the prefix stands several times in a sentence",
        ),
    ),
    known_wrong=(
        KnownWrong(
            _in_text,
            "This counts letters, not tokens: `text.count('read')` also finds 'bread', so a prefix "
            "that occurs once is counted as two. Count in the lists.",
        ),
        KnownWrong(
            _quotient(_count, lambda s, prefix, word: list(itertools.chain(*s)).count(prefix)),
            "The prefix is also counted where a sentence ends and nothing follows it. Count it "
            "where it begins a pair, so that the probabilities after it sum to one.",
        ),
        KnownWrong(
            _quotient(
                lambda s, prefix, word: _count(_across(s), prefix, word),
                lambda s, prefix, word: _followed(_across(s), prefix, word),
            ),
            "Pairs run from the end of one sentence into the start of the next. Pair the tokens of "
            "each sentence by itself.",
        ),
        KnownWrong(
            _quotient(_count, lambda s, prefix, word: len(_pairs(s))),
            "That is the joint probability P(prefix, word): divided by the number of all pairs. "
            "Divide by the pairs that begin with the prefix.",
        ),
        KnownWrong(
            _quotient(_count, lambda s, prefix, word: sum(w == word for _, w in _pairs(s))),
            "That is P(prefix | word), the condition reversed: divide by how often the prefix "
            "is followed, not by how often the word follows.",
        ),
        KnownWrong(
            _quotient(
                lambda s, prefix, word: sum(_first_after(one, prefix) == word for one in s),
                lambda s, prefix, word: sum(_first_after(one, prefix) is not None for one in s),
            ),
            "Only the first occurrence of the prefix in each sentence is counted. Count all of "
            "them: index() finds one.",
        ),
        KnownWrong(
            lambda sentences, prefix, word: float(
                np.mean(
                    [
                        _bigram([one], prefix, word)
                        for one in sentences
                        if _followed([one], prefix, word)
                    ]
                    or [0.0]
                )
            ),
            "That is the mean of the sentences' own probabilities. Add up both counts over all "
            "sentences first, then divide once.",
        ),
        KnownWrong(
            lambda sentences, prefix, word: (
                _count(sentences, prefix, word) / _followed(sentences, prefix, word)
            ),
            "A prefix that nothing follows divides by zero. Return 0.0 there.",
        ),
    ),
    hints=(
        "Print the two counts for 'read' and 'about'. Where is the second 'read'?",
        "Make the list of pairs of each sentence: zip(sentence, sentence[1:]).",
        "Numerator: pairs equal to (prefix, word). Denominator: pairs whose first is the prefix.",
    ),
    notice="Numerator and denominator must be counted on the same pairs. Then, and only then, the "
    "probabilities after a prefix sum to one; adding them up would have shown the mistake.",
)
