"""Text metrics against sacrebleu and rouge-score, in English and Chinese, empty texts included."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from m6rec_lite.evaluation.explanations import (
    feature_coverage,
    feature_diversity,
    feature_matching,
    features_in,
)
from m6rec_lite.evaluation.text import (
    bleu,
    distinct,
    longest_common_subsequence,
    ngrams,
    perplexity,
    rouge,
    tokens,
)

#: Few words, so that texts overlap; Chinese characters, marks and a word with a bound mark.
WORDS = ["the", "tent", "a", "dry", "don't", "3.5", "，", "防", "水", "靴", "!", "boots"]
text = st.lists(st.sampled_from(WORDS), max_size=12)
texts = st.lists(st.tuples(text, st.lists(text, min_size=1, max_size=3)), min_size=1, max_size=6)
pairs = st.lists(st.tuples(text, text), min_size=1, max_size=6)


class Spaces:
    """rouge-score's tokenizer slot: tokens were cut already."""

    def tokenize(self, line):
        return line.split()


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(1, 5), st.booleans())
def test_bleu_equals_sacrebleu(case, n, smooth):
    result = bleu([t for t, _ in case], [r for _, r in case], n=n, smooth=smooth)
    most = max(len(r) for _, r in case)
    # sacrebleu wants as many references for each text: repeats change nothing
    filled = [[*r, *[r[0]] * (most - len(r))] for _, r in case]
    references = [[" ".join(r[i]) for r in filled] for i in range(most)]
    method = "exp" if smooth else "none"
    reference = BLEU(tokenize="none", max_ngram_order=n, smooth_method=method, force=True)
    wanted = reference.corpus_score([" ".join(t) for t, _ in case], references)
    assert 100 * result.score == pytest.approx(wanted.score, abs=1e-9)
    assert result.length == wanted.sys_len
    assert result.reference_length == wanted.ref_len
    assert result.brevity == pytest.approx(wanted.bp)


@settings(max_examples=150, deadline=None)
@given(pairs, st.sampled_from([1, 2, 3, "L"]))
def test_rouge_equals_rouge_score(case, kind):
    scorer = RougeScorer([f"rouge{kind}"], tokenizer=Spaces())
    each = [scorer.score(" ".join(r), " ".join(t))[f"rouge{kind}"] for t, r in case]
    result = rouge([t for t, _ in case], [r for _, r in case], kind)
    assert result.precision == pytest.approx(np.mean([s.precision for s in each]), abs=1e-12)
    assert result.recall == pytest.approx(np.mean([s.recall for s in each]), abs=1e-12)
    assert result.f1 == pytest.approx(np.mean([s.fmeasure for s in each]), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet="abAB 防水靴，。3.", max_size=30), st.text(alphabet="ab 防水。3", max_size=30)
)
def test_chinese_scores_equal_sacrebleu_by_its_character_tokens(one, other):
    characters = [list("".join(t.split())) for t in (one, other)]
    result = bleu([characters[0]], [[characters[1]]], n=2)
    reference = BLEU(tokenize="char", max_ngram_order=2, force=True)
    squeezed = ["".join(t.split()) for t in (one, other)]
    wanted = reference.corpus_score(squeezed[:1], [squeezed[1:]])
    assert 100 * result.score == pytest.approx(wanted.score, abs=1e-9)
    assert [t for t in tokens("".join(squeezed)) if "\u4e00" <= t <= "\u9fff"] == [
        c for c in "".join(squeezed) if "\u4e00" <= c <= "\u9fff"
    ]


def test_tokens_of_both_languages():
    assert tokens("Don't wait: 防水 boots, 3.5 km!") == [
        "don't", "wait", ":", "防", "水", "boots", ",", "3.5", "km", "!",
    ]  # fmt: skip
    assert tokens("二手iPhone很好。") == ["二", "手", "iphone", "很", "好", "。"]
    assert tokens("Big", lower=False) == ["Big"]
    assert tokens("") == tokens(" \n\t") == []
    assert tokens("café naïve") == ["café", "naïve"]


@given(st.text(max_size=40))
def test_no_letter_or_mark_is_lost_in_cutting(line):
    assert "".join(tokens(line, lower=False)) == "".join(line.split())


def test_a_whole_chinese_sentence_is_not_one_token():
    near, far = tokens("这双靴子防水又轻"), tokens("这双靴子防水但重")
    assert rouge([near], [far], 1).f1 == pytest.approx(6 / 8)
    assert rouge([["这双靴子防水又轻"]], [["这双靴子防水但重"]], 1).f1 == 0


def test_bleu_by_hand():
    result = bleu(
        [["the", "the", "the", "cat"]], [[["the", "cat", "sat", "on", "the", "mat"]]], n=2
    )
    assert result.precisions == pytest.approx((3 / 4, 1 / 3))  # "the" counts twice, no more
    assert result.brevity == pytest.approx(math.exp(1 - 6 / 4))
    assert result.score == pytest.approx(math.exp(-0.5) * math.sqrt(1 / 4))


def test_empty_texts_score_nothing_and_do_not_break():
    one = tokens("a dry tent")
    for text_, reference in (([], one), (one, []), ([], [])):
        assert bleu([text_], [[reference]]).score == 0
        for kind in (1, 2, "L"):
            assert rouge([text_], [reference], kind).f1 == 0
    assert math.isnan(distinct([[], []], 1))
    assert math.isnan(distinct([["one"]], 2))
    assert features_in([[]], ["price"]) == [frozenset()]


@settings(max_examples=80, deadline=None)
@given(text, text)
def test_longest_common_subsequence_against_its_definition(first, second):
    def slow(i, j):
        if i == 0 or j == 0:
            return 0
        if first[i - 1] == second[j - 1]:
            return slow(i - 1, j - 1) + 1
        return max(slow(i - 1, j), slow(i, j - 1))

    first, second = first[:6], second[:6]
    assert longest_common_subsequence(first, second) == slow(len(first), len(second))


@given(st.lists(text, max_size=5), st.integers(1, 3))
def test_distinct_is_the_share_of_different_runs(several, n):
    runs = [tuple(t[i : i + n]) for t in several for i in range(len(t) - n + 1)]
    if runs:
        assert distinct(several, n) == len(set(runs)) / len(runs)
        assert distinct(several * 2, n) == pytest.approx(distinct(several, n) / 2)
        assert sum((ngrams(t, n) for t in several), start=ngrams([], n)).total() == len(runs)
    else:
        assert math.isnan(distinct(several, n))


def test_features_are_found_as_whole_words_phrases_and_characters():
    phrases = {"price": "value", "worth the money": "value", "做工": "quality", "art": "art"}
    result = features_in(
        map(tokens, ["Worth the money.", "money the worth", "做工很好", "Start at a fair price!"]),
        phrases,
    )
    assert result == [{"value"}, set(), {"quality"}, {"value"}]  # "start" is not about art
    assert features_in([tokens("PRICE and art")], ["price", "Price", "art"]) == [
        {"price", "Price", "art"}
    ]


def test_feature_scores_by_hand():
    named = [{"price"}, {"price", "quality"}, set(), {"quality"}]
    assert feature_matching(named, ["price", "style", "price", "quality"]) == 0.5
    assert feature_coverage(named, ["price", "quality", "style", "service"]) == 0.5
    # pairs: 12 share price, 24 share quality; six pairs in all
    assert feature_diversity(named) == pytest.approx(2 / 6)
    assert math.isnan(feature_diversity(named[:1]))


def test_one_reason_for_everybody_matches_as_often_as_it_is_true_and_covers_one():
    wanted = ["price"] * 6 + ["quality"] * 3 + ["style"]
    same = [{"price"}] * 10
    assert feature_matching(same, wanted) == 0.6
    assert feature_coverage(same, {"price", "quality", "style"}) == pytest.approx(1 / 3)
    assert feature_diversity(same) == 1


@given(st.lists(st.sets(st.sampled_from("abcd"), max_size=3), min_size=2, max_size=8))
def test_feature_diversity_is_the_mean_over_pairs(named):
    n = len(named)
    shared = [len(named[i] & named[j]) for i in range(n) for j in range(i + 1, n)]
    assert feature_diversity(named) == pytest.approx(np.mean(shared))


def test_perplexity_of_a_fair_die_is_its_number_of_sides():
    assert perplexity([-3 * math.log(6), -math.log(6)], [3, 1]) == pytest.approx(6)
    assert perplexity([-math.log(2), 0.0], [1, 0]) == pytest.approx(2)  # an empty text adds nothing
    assert perplexity([-math.inf, -1.0], [4, 1]) == math.inf
    pooled = perplexity([-math.log(2), -9 * math.log(8)], [1, 9])
    assert pooled == pytest.approx(2**2.8)  # all tokens weigh alike: not (2 + 8) / 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bleu([], []), "at least one text"),
        (lambda: bleu([["a"]], []), "1 texts and 0 references"),
        (lambda: bleu(["a b"], [[["a"]]]), r"text 0 is a string, 'a b'; split it first: tokens"),
        (lambda: bleu([["a"]], [["a"]]), "text 0 needs a list of references"),
        (lambda: bleu([["a"]], [[]]), "text 0 needs a list of references"),
        (lambda: bleu([["a"]], [[["a"]]], n=0), "n must be at least 1, got 0"),
        (lambda: rouge([["a"]], [["a"]], "l"), "kind must be .* 'L'; got 'l'"),
        (lambda: rouge([["a"]], [["a"]], 0), "kind must be"),
        (lambda: distinct([["a"]], 0), "n must be at least 1"),
        (lambda: features_in([["a"]], [" "]), "feature ' ' has no word"),
        (lambda: feature_coverage([{"a"}], []), "features is empty"),
        (lambda: feature_matching([{"a"}], []), "1 texts and 0 references"),
        (lambda: perplexity([0.0], [0]), "at least one token"),
        (lambda: perplexity([1.0], [1]), "log-likelihood 1.0 over 1 tokens"),
        (lambda: perplexity([math.nan], [1]), "log-likelihood nan"),
        (lambda: perplexity([-1.0, -2.0], [1]), "got shapes"),
    ],
)
def test_bad_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
