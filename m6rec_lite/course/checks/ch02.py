"""Exercises of chapter 02: a count gone wrong, perplexity, Kneser-Ney; the others from the side."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from m6rec_lite.course.checks.discounting import DISCOUNTED
from m6rec_lite.course.checks.pooling import POOL, SKIP_PAIRS
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

Sentences = list[list[str]]


def _pairs(sentences: Sentences) -> list[tuple[str, str]]:
    return [pair for sentence in sentences for pair in itertools.pairwise(sentence)]


# 02.1 Error hunt: a prefix that occurs once, counted as two


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

_RECIPE = [["i", "read", "this", "bread", "recipe"]]
_BOOTS = [
    ["the", "boots", "are", "good"],
    ["the", "boots", "are", "not", "good"],
    ["good", "boots", "indeed"],
]

BIGRAM_PROB = Exercise(
    id="02.1",
    title="A probability of 1/2 that should be 1",
    answer="bigram_prob",
    cases=(
        Case(args=(_RECIPE, "read", "this"), wanted=1.0, note="'read' occurs once"),
        Case(args=(_BOOTS, "are", "good"), wanted=0.5),
        Case(args=(_BOOTS, "good", "boots"), wanted=1.0, note="'good' ends two sentences"),
        Case(args=(_BOOTS, "good", "the"), wanted=0.0, note="only across an edge"),
        Case(args=(_BOOTS, "indeed", "the"), wanted=0.0, note="nothing follows 'indeed'"),
        Case(args=(_BOOTS, "boots", "are"), wanted=2 / 3),
        Case(
            args=([["a", "b", "a", "c", "a", "c"], ["a", "b"]], "a", "c"),
            wanted=0.5,
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
            "That is P(prefix | word), the condition turned round: divide by how often the prefix "
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
            "A prefix that nothing follows divides by zero. Answer 0.0 there, as asked.",
        ),
    ),
    correct_alternatives=(
        _bigram,
        lambda sentences, prefix, word: (
            sum(
                sentence[i + 1] == word
                for sentence in sentences
                for i in range(len(sentence) - 1)
                if sentence[i] == prefix
            )
            / max(_followed(sentences, prefix, word), 1)
        ),
    ),
    hints=(
        "Print the two counts for 'read' and 'this'. Where is the second 'read'?",
        "Make the list of pairs of each sentence: zip(sentence, sentence[1:]).",
        "Numerator: pairs equal to (prefix, word). Denominator: pairs whose first is the prefix.",
    ),
    notice="Numerator and denominator must be counted on the same pairs. Then, and only then, the "
    "probabilities after a prefix sum to one; adding them up would have shown the mistake.",
)


# 02.2 Perplexity


def _perplexity(probs: list[float]) -> float:
    if min(probs) == 0:
        return math.inf
    return math.exp(-sum(math.log(p) for p in probs) / len(probs))


def _quiet(function: Callable[[np.ndarray], float]) -> Callable[[list[float]], float]:
    """The function of an array, without numpy's warnings about zeros."""

    def perplexity(probs: list[float]) -> float:
        with np.errstate(all="ignore"):
            return float(function(np.array(probs)))

    return perplexity


PERPLEXITY = Exercise(
    id="02.2",
    title="Perplexity by hand",
    answer="perplexity",
    cases=(
        Case(args=([0.5, 0.25, 0.125],), wanted=4.0),
        Case(args=([1 / 6] * 5,), wanted=6.0, note="a fair die"),
        Case(args=([0.9, 0.1],), wanted=_perplexity([0.9, 0.1])),
        Case(args=([0.5, 0.0],), wanted=math.inf, note="one token is impossible"),
        Case(args=([1e-5] * 400,), wanted=1e5, note="400 rare tokens"),
    ),
    known_wrong=(
        KnownWrong(
            _quiet(lambda p: np.exp(-np.log(p).sum())),
            "That is the inverse probability of the whole text: the mean over tokens, 1/N, is "
            "missing, so long texts look bad.",
        ),
        KnownWrong(
            _quiet(lambda p: 2 ** -np.log(p).mean()),
            "Natural logarithms raised to the power of 2. Use one base for both: exp with ln, or 2 "
            "with log2.",
        ),
        KnownWrong(
            _quiet(lambda p: (1 / p).mean()),
            "That is the arithmetic mean of 1/p. Perplexity is the geometric mean: average the "
            "logarithms.",
        ),
        KnownWrong(
            _quiet(lambda p: 1 / p.mean()),
            "That is one over the mean probability; a zero hardly shows in it. Average the "
            "logarithms.",
        ),
        KnownWrong(
            _quiet(lambda p: -np.log(p).mean()),
            "That is the cross-entropy in nats. Perplexity is its exponential.",
        ),
        KnownWrong(
            _quiet(lambda p: np.prod(p) ** (-1 / len(p))),
            "The product of many probabilities is too small for a float and becomes 0, so the text "
            "seems impossible. Add logarithms.",
        ),
    ),
    correct_alternatives=(
        _perplexity,
        _quiet(lambda p: 2 ** -np.log2(p).mean()),
        _quiet(lambda p: np.exp(-np.log(p).sum() / len(p))),
    ),
    hints=(
        "What is the perplexity of a fair die? Start from the answer.",
        "The mean of the negative logarithms, then the exponential.",
        "np.log(0) is -inf, with a warning; `with np.errstate(divide='ignore'):` keeps it quiet.",
    ),
    notice="A fair die has 6, whatever the number of throws: perplexity counts equal choices. And "
    "the sum of logarithms survives 400 tokens where the product does not.",
)


# 02.3 Continuation counts


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


def _before_each(sentences: Sentences) -> dict[str, float]:
    """The right answer written otherwise: sets of the words before each word."""
    before = defaultdict(set)
    for sentence in sentences:
        for i in range(1, len(sentence)):
            before[sentence[i]].add(sentence[i - 1])
    kinds = sum(map(len, before.values()))
    return {word: len(words) / kinds for word, words in before.items()}


CONTINUATION = Exercise(
    id="02.3",
    title="Kneser-Ney's continuation counts",
    answer="continuation",
    cases=(
        Case(args=(_CITY,), wanted=_continuation(_CITY), note="'francisco' is as frequent as 'is'"),
        Case(args=([["a", "b", "a", "b", "c"]],), wanted={"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        Case(args=([["a", "a"], ["b", "a"], ["c"]],), wanted={"a": 1.0}),
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
    ),
    correct_alternatives=(_continuation, _before_each),
    hints=(
        "How many different words stand before 'francisco'? And before 'boots'?",
        "A set of pairs holds each pair once: {(first, second), …}.",
        "Count the second members of the set with a Counter; divide by the size of the set.",
    ),
    notice="'francisco' and 'is' each occur twice, after one word only; 'like' occurs twice after "
    "two different words, and is twice as likely in a place that nobody has seen.",
)


EXERCISES = (BIGRAM_PROB, PERPLEXITY, CONTINUATION, DISCOUNTED, SKIP_PAIRS, POOL)
