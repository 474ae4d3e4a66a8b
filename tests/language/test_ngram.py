"""The n-gram model: sums, NLTK, textbook formulas, edges, unknown words."""

import itertools
import math
import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.lm import (
    MLE,
    AbsoluteDiscountingInterpolated,
    KneserNeyInterpolated,
    Lidstone,
    Vocabulary,
    WittenBellInterpolated,
)
from nltk.util import everygrams
from scipy.optimize import minimize

from m6rec_lite.language import (
    SMOOTHINGS,
    AbsoluteDiscounting,
    AddK,
    JelinekMercer,
    KneserNey,
    MaximumLikelihood,
    ModifiedKneserNey,
    NGram,
    WittenBell,
)

TOKENS = ["a", "b", "c", "d", "e"]
SETTINGS = [
    *(kind() for kind in SMOOTHINGS.values()),
    AddK(0.01),
    JelinekMercer(bins=3),
    JelinekMercer(base="unigram"),
    WittenBell(base="unigram"),
    AbsoluteDiscounting(0.6, base="unigram"),
    KneserNey(0.4),
    KneserNey(base="unigram"),
    ModifiedKneserNey(base="unigram"),
]
CAT = [
    ["the", "cat", "sat", "on", "the", "mat"],
    ["the", "dog", "sat", "on", "the", "cat"],
    ["a", "dog", "ran"],
    ["the", "cat", "ran", "to", "the", "dog"],
]

sentences = st.lists(st.lists(st.sampled_from(TOKENS), max_size=8), min_size=1, max_size=8)
contexts = st.lists(
    st.lists(st.sampled_from([*TOKENS, "never", "<s>", "</s>"]), max_size=5), min_size=1, max_size=6
)


def drawn_text(seed: int = 0, n: int = 60, words: int = 12) -> list[list[str]]:
    """Sentences of words that differ in frequency and depend on the word before."""
    rng = random.Random(seed)
    text = []
    for _ in range(n):
        sentence, position = [], int(words * rng.random() ** 3)
        for _ in range(rng.randint(1, 14)):
            sentence.append(f"w{position}")
            step = int(words * rng.random() ** 6)
            anew = rng.random() < 0.2
            position = int(words * rng.random() ** 3) if anew else (position * 3 + 1 + step) % words
        text.append(sentence)
    return text


# Sums


@settings(max_examples=60, deadline=None)
@given(
    text=sentences.filter(any),
    held=sentences.filter(any),
    queries=contexts,
    order=st.integers(1, 4),
    edges=st.booleans(),
    skips=st.integers(0, 2),
    data=st.data(),
)
def test_probabilities_sum_to_one_after_any_context(text, held, queries, order, edges, skips, data):
    smoothing = data.draw(st.sampled_from(SETTINGS))
    marks = {"edges": ("<s>", "</s>")} if edges else {"edges": None}
    model = NGram(order, smoothing, skips=skips, **marks).fit(text, held_out=held)
    p = model.next_probs(queries)
    assert p.shape == (len(queries), len(model.vocabulary))
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    one_by_one = [[model.prob(token, context) for token in model.vocabulary] for context in queries]
    np.testing.assert_allclose(p, one_by_one, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    text=sentences.filter(any),
    queries=contexts,
    smoothing=st.sampled_from([s for s in SETTINGS if not s.needs_held_out]),
    min_count=st.sampled_from([1, 2, 3]),
    min_gain=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
)
def test_a_pruned_model_still_sums_to_one(text, queries, smoothing, min_count, min_gain):
    model = NGram(4, smoothing).fit(text)
    before = model.sizes
    again = model.prune(min_count, min_gain).prune(min_count, min_gain)
    np.testing.assert_allclose(again.next_probs(queries).sum(axis=1), 1, atol=1e-12)
    assert all(now <= then for now, then in zip(again.sizes, before, strict=True))


@settings(max_examples=25, deadline=None)
@given(text=sentences.filter(any), data=st.data())
def test_weighted_counts_sum_to_one_and_equal_weights_change_nothing_relative(text, data):
    weights = [
        data.draw(st.lists(st.floats(0.01, 5), min_size=len(row), max_size=len(row)))
        for row in text
    ]
    for smoothing in (s for s in SETTINGS if not s.needs_held_out):
        model = NGram(3, smoothing).fit(text, weights=weights)
        p = model.next_probs([["a"], ["<s>", "b"], ["c", "d"], []])
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    ones = [[1.0] * len(row) for row in text]
    plain, weighted = NGram(3).fit(text), NGram(3).fit(text, weights=ones)
    np.testing.assert_allclose(plain.token_logprobs(text), weighted.token_logprobs(text))


# NLTK


def nltk_model(kind, text, order, *args, **kwargs):
    vocabulary = Vocabulary(list(itertools.chain(*text)), unk_label="<unk>")
    model = kind(*args, order=order, vocabulary=vocabulary, **kwargs)
    model.fit([list(everygrams(sentence, max_len=order)) for sentence in text])
    return model


NLTK = {
    "maximum likelihood": (MLE, (), {}, MaximumLikelihood("zero")),
    "lidstone": (Lidstone, (0.3,), {}, AddK(0.3)),
    "witten-bell": (WittenBellInterpolated, (), {}, WittenBell(base="unigram")),
    "absolute discounting": (
        AbsoluteDiscountingInterpolated,
        (),
        {"discount": 0.6},
        AbsoluteDiscounting(0.6, base="unigram"),
    ),
}


@pytest.mark.parametrize("name", NLTK)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("padded", [False, True])
def test_equals_nltk_on_the_same_tokens(name, order, padded):
    kind, args, kwargs, smoothing = NLTK[name]
    text = drawn_text(order)
    if padded:
        text = [["<s>"] * (order - 1) + row + ["</s>"] * (order - 1) for row in text]
    peer = nltk_model(kind, text, order, *args, **kwargs)
    ours = NGram(order, smoothing, edges=None).fit(text)
    rng = random.Random(1)
    known = [*ours.vocabulary, "strange"]
    queries = [[rng.choice(known) for _ in range(rng.randrange(order))] for _ in range(25)]
    queries += [row[k : k + order - 1] for row in text[:8] for k in range(3)]
    ours_p = ours.next_probs(queries)
    for row, context in enumerate(queries):
        wanted = [peer.score(token, tuple(context)) for token in ours.vocabulary]
        np.testing.assert_allclose(ours_p[row], wanted, atol=1e-9, rtol=0)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_kneser_ney_equals_nltk_where_every_context_is_interior(order):
    ring = list(itertools.chain(*drawn_text(order, n=30, words=8)))
    text = [ring + ring[: order - 1]]  # every n-gram but the longest has a word before it
    peer = nltk_model(KneserNeyInterpolated, text, order, discount=0.4)
    ours = NGram(order, KneserNey(0.4, base="unigram"), edges=None).fit(text)
    queries = [ring[k : k + size] for k in range(0, 40, 3) for size in range(order)]
    for context in queries:
        for token in ours.vocabulary:
            wanted = peer.score(token, tuple(context))
            assert ours.prob(token, context) == pytest.approx(wanted, abs=1e-9)


def test_kneser_ney_equals_nltk_inside_padded_sentences():
    order = 3
    text = [["<s>", "<s>", *row, "</s>", "</s>"] for row in drawn_text(3)]
    peer = nltk_model(KneserNeyInterpolated, text, order, discount=0.4)
    ours = NGram(order, KneserNey(0.4, base="unigram"), edges=None).fit(text)
    inner = sorted({tuple(row[k : k + 2]) for row in text[:20] for k in range(1, len(row) - 2)})
    assert len(inner) > 30
    for context in inner:
        for token in ours.vocabulary[::3]:
            wanted = peer.score(token, context)
            assert ours.prob(token, context) == pytest.approx(wanted, abs=1e-9)


# Textbook formulas


class SlowKneserNey:
    """Chen and Goodman's interpolated Kneser-Ney in dictionaries, one sentence mark, slow."""

    def __init__(self, text, order, vocabulary, modified):
        self.order, self.vocabulary, self.tables = order, vocabulary, {}
        raw, before = defaultdict(Counter), defaultdict(set)
        for sentence in text:
            padded = ["<s>", *sentence, "</s>"]
            for k in range(1, order + 2):
                for start in range(len(padded) - k + 1):
                    gram = tuple(padded[start : start + k])
                    if gram != ("<s>",):
                        raw[k][gram] += 1
                        before[gram[1:]].add(gram[0])
        for k in range(1, order + 1):
            counts = {}
            for gram, count in raw[k].items():
                begins = gram[0] == "<s>"
                counts[gram] = count if k == order or begins else len(before[gram])
            n = Counter(min(count, 5) for count in counts.values())
            y = n[1] / (n[1] + 2 * n[2])
            if modified:
                discount = {i: i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)}
            else:
                discount = {1: y, 2: y, 3: y}
            self.tables[k] = (counts, discount)

    def prob(self, word, context):
        counts, discount = self.tables[len(context) + 1]
        follow = {g[-1]: c for g, c in counts.items() if g[:-1] == tuple(context)}
        lower = self.prob(word, context[1:]) if context else 1 / len(self.vocabulary)
        if not follow:
            return lower
        total = sum(follow.values())
        taken = {w: discount[min(c, 3)] for w, c in follow.items()}
        alpha = (follow[word] - taken[word]) / total if word in follow else 0.0
        return alpha + sum(taken.values()) / total * lower


@pytest.mark.parametrize("modified", [False, True])
@pytest.mark.parametrize("order", [2, 3])
def test_kneser_ney_equals_its_formula(order, modified):
    text = drawn_text(5, n=100, words=120)
    ours = NGram(order, "modified-kneser-ney" if modified else "kneser-ney").fit(text)
    slow = SlowKneserNey(text, order, ours.vocabulary, modified)
    for k in range(1, order + 1):  # the estimates, not the fallback, are compared
        result = ours.estimate_.details["discounts"][k - 1]
        np.testing.assert_allclose(result, list(slow.tables[k][1].values())[: len(result)])
    queries = [
        ["<s>"],
        [],
        ["w1"],
        ["<s>", "w2"][-order + 1 :],
        *(r[:2][-order + 1 :] for r in text),
    ]
    for context in queries[:20]:
        for token in [*ours.vocabulary[::4], "<unk>", "</s>"]:
            wanted = slow.prob(token, context)
            assert ours.prob(token, context) == pytest.approx(wanted, abs=1e-12)


def test_worked_examples_by_hand():
    text = [["a", "b", "a", "b", "a", "c"]]

    def after_a(smoothing: str) -> float:
        return NGram(2, smoothing, edges=None, unknown=None).fit(text).prob("b", ["a"])

    assert after_a("maximum-likelihood") == pytest.approx(2 / 3)
    assert after_a("add-k") == pytest.approx(3 / 6)
    # "a" is followed by two kinds of word in three places; b is 2 of 6, below it 1 of 3
    below = (2 + 3 / 3) / (6 + 3)
    wanted = (2 + 2 * below) / (3 + 2)
    assert after_a("witten-bell") == pytest.approx(wanted)
    # a prefix that occurs once is one occurrence: not 1/2 but 1
    once = NGram(2, "maximum-likelihood", edges=None).fit([["x", "y"]])
    assert once.prob("y", ["x"]) == 1.0


def test_francisco_follows_san_alone():
    text = [["san", "francisco"]] * 8 + [["the", w] for w in "abcdefg"] + [["a", "the"]] * 3
    text += [[w, "glasses"] for w in "abcde"] + [["reading", "glasses"]]
    queries = ["reading", "my"]
    frequent = NGram(2, AbsoluteDiscounting(0.75)).fit(text)
    contexts_counted = NGram(2, KneserNey(0.75)).fit(text)
    assert frequent.prob("francisco", queries) > frequent.prob("glasses", queries[1:])
    assert contexts_counted.prob("francisco", ["my"]) < contexts_counted.prob("glasses", ["my"])


def test_held_out_weights_are_the_likeliest():
    text, held = drawn_text(1), drawn_text(2, n=25)
    model = NGram(2, JelinekMercer()).fit(text, held_out=held)
    learnt = model.estimate_.details["weights"][:, 0]

    def loss(raw):  # one imaginary word each way, as the docstring says
        w = 1 / (1 + np.exp(-raw))
        fixed = NGram(2, JelinekMercer(tuple(w))).fit(text)
        return -fixed.token_logprobs(held).sum() - np.log(w).sum() - np.log(1 - w).sum()

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5})
    np.testing.assert_allclose(learnt, 1 / (1 + np.exp(-best.x)), atol=1e-4)


def test_more_bins_fit_held_out_text_better():
    text, held = drawn_text(1, n=300, words=40), drawn_text(2, n=300, words=40)
    one, many = (NGram(3, JelinekMercer(bins=b)).fit(text, held_out=held) for b in (1, 8))
    assert many.perplexity(held) < one.perplexity(held)
    assert many.estimate_.details["weights"].shape == (3, 8)


def test_smoothing_helps_on_text_not_seen():
    text, held = drawn_text(1, n=300, words=60), drawn_text(2, n=60, words=60)
    other = drawn_text(3, n=60, words=60)
    result = {
        name: NGram(3, name).fit(text, held_out=other).perplexity(held) for name in SMOOTHINGS
    }
    assert result["maximum-likelihood"] == math.inf
    for name in ("jelinek-mercer", "witten-bell", "kneser-ney", "modified-kneser-ney"):
        assert result[name] < result["add-k"]
        assert result[name] < NGram(1, "add-k").fit(text).perplexity(held)


# Edges, unknown words, contexts


def test_sentence_marks_are_context_only_and_an_end_that_is_predicted():
    model = NGram(3, "maximum-likelihood").fit(CAT)
    assert model.prob("the", ["<s>"]) == 3 / 4
    assert model.prob("</s>", ["ran"]) == 1 / 2
    assert "<s>" not in model.vocabulary
    assert "</s>" in model.vocabulary
    assert model.count(["<s>", "the"]) == 3
    assert model.count(["the", "cat", "sat"]) == 1
    assert model.count(["sat", "the"]) == 0
    assert len(model.token_logprobs(CAT)) == sum(map(len, CAT)) + len(CAT)
    with pytest.raises(ValueError, match="never predicted"):
        model.prob("<s>", ["the"])


def test_a_long_context_counts_as_its_last_tokens_and_a_short_one_as_it_is():
    model = NGram(3).fit(CAT)
    long = ["a", "dog", "ran", "and", "then", "the", "cat"]
    assert model.prob("sat", long) == model.prob("sat", ["the", "cat"])
    p = model.next_probs([long, ["the", "cat"], ["cat"]])
    np.testing.assert_array_equal(p[0], p[1])
    assert not np.array_equal(p[1], p[2])
    unigram = NGram(1).fit(CAT)
    assert unigram.prob("cat", long) == unigram.prob("cat")


def test_a_context_never_seen_is_shortened_by_all_but_add_k():
    for name in SMOOTHINGS:
        model = NGram(3, name).fit(CAT, held_out=CAT[:2])
        shortened = model.next_probs([["ran", "cat"], ["cat"], ["strange", "words"], []])
        if name == "add-k":
            np.testing.assert_allclose(shortened[0], 1 / len(model.vocabulary))
        else:
            np.testing.assert_allclose(shortened[0], shortened[1])
            np.testing.assert_allclose(shortened[2], shortened[3])


def test_unknown_words():
    text = [*CAT, ["a", "bird", "sat"]]
    closed = NGram(2, unknown=None).fit(text)
    with pytest.raises(ValueError, match=r"unknown tokens \['fish'\]"):
        closed.perplexity([["the", "fish"]])
    rare = NGram(2, min_count=2).fit(text)
    assert "bird" not in rare.vocabulary
    assert rare.prob("bird", ["a"]) == rare.prob("<unk>", ["a"]) == rare.prob("fish", ["a"])
    assert rare.prob("fish", ["a"]) > NGram(2).fit(text).prob("fish", ["a"])
    queries = [["the", "fish", "sat"]]
    assert len(rare.token_logprobs(queries)) == 4
    assert len(rare.token_logprobs(queries, skip_unknown=True)) == 3
    model = NGram(2, vocabulary=["the", "cat"]).fit(text)
    assert model.vocabulary == ["the", "cat", "</s>", "<unk>"]
    assert model.count(["<unk>"]) > 5


@settings(max_examples=30, deadline=None)
@given(text=sentences.filter(any), order=st.integers(1, 4))
def test_counts_are_those_of_a_dictionary(text, order):
    model = NGram(order, edges=None).fit(text)
    wanted = Counter(gram for row in text for gram in everygrams(row, max_len=order))
    assert sum(model.sizes) == len(wanted)
    assert all(model.count(gram) == count for gram, count in wanted.items())


def test_tokens_of_any_hashable_kind():
    text = [[1, (2, "x"), "a"], [1, (2, "y")], np.array([1, 7, 7])]
    model = NGram(2, "maximum-likelihood").fit(text)
    assert model.prob((2, "x"), [1]) == pytest.approx(1 / 3)
    assert model.prob(7, [7]) == 1 / 2


def test_one_class_serves_items():
    """A closed vocabulary in catalogue order, arrays in, one row of all items a history out."""
    catalogue = [30, 10, 20, 40]
    ids, lengths = np.array([0, 1, 2, 0, 1, 3, 0, 1, 2]), np.array([3, 3, 0, 3])
    model = NGram(2, vocabulary=catalogue, unknown=None, edges=None).fit_ids(ids, lengths)
    assert model.vocabulary == catalogue
    queries = np.array([[-1, 1], [0, 1], [-1, -1]])
    p = model.next_probs_ids(queries)
    np.testing.assert_array_equal(p[0], p[1])
    assert p[0].argmax() == 2
    np.testing.assert_array_equal(p, model.next_probs([[10], [30, 10], []]))
    lists = [[30, 10, 20], [30, 10, 40], [], [30, 10, 20]]
    same = NGram(2, vocabulary=catalogue, unknown=None, edges=None).fit(lists)
    np.testing.assert_array_equal(p, same.next_probs_ids(queries))
    with pytest.raises(ValueError, match="beyond the 4 tokens"):
        model.next_probs_ids(np.array([[4]]))


def test_skips_reach_over_a_token_and_weights_favour_what_is_recent():
    text = [["a", "x", "b"], ["a", "y", "b"], ["a", "z", "c"]]
    far = NGram(2, "maximum-likelihood", edges=None, skips=1, skip_weight=0.5).fit(text)
    assert far.count(["a", "b"]) == 1.0  # twice, at half weight
    assert far.count(["a", "x"]) == 1.0
    assert far.prob("b", ["a"]) == pytest.approx(1 / 4.5)
    recent = NGram(2, "maximum-likelihood", edges=None)
    recent.fit([["a", "b", "a", "c"]], weights=[[0.1, 0.1, 1, 1]])
    assert recent.prob("c", ["a"]) == pytest.approx(1 / 1.1)
    ended = NGram(2, "maximum-likelihood").fit([["a"], ["a", "b"]], weights=[[3], [1, 1]])
    assert ended.prob("</s>", ["a"]) == pytest.approx(3 / 4)
