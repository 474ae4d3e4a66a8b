"""The n-gram model in use: generation, pruning, files, misuse."""

import math
from collections import Counter

import numpy as np
import pytest

from m6rec_lite.language import (
    AddK,
    JelinekMercer,
    KneserNey,
    MaximumLikelihood,
    NGram,
    WittenBell,
)
from m6rec_lite.language.ngrams.pruning import gains, prune
from tests.language.test_ngram import CAT, SETTINGS, drawn_text

# Generation


def test_generated_tokens_follow_the_probabilities():
    model = NGram(2, "witten-bell").fit(CAT)
    rng = np.random.default_rng(0)
    firsts = Counter((model.generate(1, seed=rng) or ["</s>"])[0] for _ in range(3000))
    p = model.next_probs([["<s>"]])[0]
    p[model.vocabulary.index("<unk>")] = 0
    for token, share in zip(model.vocabulary, p / p.sum(), strict=True):
        assert firsts[token] / 3000 == pytest.approx(share, abs=0.035)


def test_generation_is_seeded_stops_and_stays_in_the_vocabulary():
    model = NGram(3).fit(drawn_text(4), held_out=None)
    assert model.generate(40, seed=3) == model.generate(40, seed=3)
    drawn = [model.generate(500, seed=seed) for seed in range(20)]
    assert len({tuple(row) for row in drawn}) > 10
    assert max(map(len, drawn)) < 500
    assert {token for row in drawn for token in row} <= set(model.vocabulary) - {"<unk>", "</s>"}
    cold = NGram(2, "maximum-likelihood").fit([["a", "b"]] * 9 + [["a", "c"]])
    assert all(cold.generate(seed=s, temperature=0.05) == ["a", "b"] for s in range(20))
    assert model.generate(0, seed=0) == []
    with pytest.raises(ValueError, match="temperature must be above 0"):
        model.generate(seed=0, temperature=0)
    zero = NGram(3, MaximumLikelihood("zero")).fit(CAT)
    with pytest.raises(ValueError, match="probability 0"):
        zero.generate(context=["mat", "dog"], seed=0)


# Pruning and disk


def test_pruning_forgets_what_helps_least():
    text, held = drawn_text(1, n=400, words=30), drawn_text(2, n=50, words=30)
    full = NGram(3, "witten-bell").fit(text)
    sizes, perplexity = full.sizes, full.perplexity(held)
    lean = NGram(3, "witten-bell").fit(text).prune(min_gain=3.0)
    assert sum(lean.sizes) < sum(sizes) / 2
    assert lean.perplexity(held) < 1.1 * perplexity
    bare = NGram(3, "witten-bell").fit(text).prune(min_count=math.inf)
    assert bare.sizes == (sizes[0], 0, 0)
    np.testing.assert_allclose(bare.next_probs([["w1", "w2"]]), full.next_probs([[]]))
    cut = NGram(3, "witten-bell").fit(text).prune(min_count=3)
    lost = [g for g in [["w1", w] for w in full.vocabulary] if 0 < full.count(g) < 3]
    assert lost
    assert all(cut.count(gram) == 0 for gram in lost)
    with pytest.raises(ValueError, match="no shorter context"):
        NGram(2, MaximumLikelihood("zero")).fit(CAT).prune(2)


def test_a_pruned_ngram_gains_what_it_was_said_to_gain():
    text = drawn_text(7, n=30, words=6)
    model = NGram(2, "witten-bell", edges=None).fit(text)
    pairs = [["w1", word] for word in model.vocabulary if model.count(["w1", word]) > 0]
    before = {tuple(pair): np.log(model.prob(pair[1], pair[:1])) for pair in pairs}
    bare = NGram(2, "witten-bell", edges=None).fit(text)
    gain, words = gains(model.counts_, model.estimate_, 2), model.counts_.words(2)
    for row, pair in enumerate(words):
        named = [model.vocabulary[token] for token in pair]
        if tuple(named) not in before:
            continue
        keep = np.ones(len(words), dtype=bool)
        keep[row] = False
        bare.counts_, bare.estimate_ = prune(model.counts_, model.estimate_, [keep])
        without = np.log(bare.prob(named[1], named[:1]))
        wanted = model.count(named) * (before[tuple(named)] - without)
        assert gain[row] == pytest.approx(wanted)


@pytest.mark.parametrize("smoothing", SETTINGS, ids=repr)
def test_saved_and_read_again_it_is_the_same(smoothing, tmp_path):
    text = [*drawn_text(2), [1, (2, "x"), True]]
    model = NGram(3, smoothing, min_count=1, skips=1).fit(text, held_out=drawn_text(3))
    again = NGram.load(model.save(tmp_path / "deep" / "model.npz"))
    assert again.smoothing == smoothing
    assert again.vocabulary == model.vocabulary
    assert (again.edges, again.skips, again.unknown) == (model.edges, 1, "<unk>")
    np.testing.assert_array_equal(again.token_logprobs(text), model.token_logprobs(text))
    assert again.fit(text, held_out=text).next_probs([["w1"]]).sum() == pytest.approx(1)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["model.npz"]


def test_damaged_and_foreign_files_are_reported(tmp_path):
    path = NGram(2).fit(CAT).save(tmp_path / "model.npz")
    whole = path.read_bytes()
    for broken in (whole[:200], b"", b"not a zip file at all"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="damaged"):
            NGram.load(path)
    np.savez(path, numbers=np.arange(3))
    with pytest.raises(ValueError, match="not an n-gram model's"):
        NGram.load(path)
    with pytest.raises(FileNotFoundError):
        NGram.load(tmp_path / "nothing.npz")
    with pytest.raises(TypeError, match="frozenset"):
        NGram(2).fit([[frozenset("ab"), "c"]]).save(path)


# Misuse


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"order": 0}, "order must be at least 1"),
        ({"order": -2}, "order must be at least 1"),
        ({"order": 2.5}, "order must be a whole number"),
        ({"smoothing": "good-turing"}, "none of maximum-likelihood, add-k"),
        ({"min_count": 0}, "min_count must be at least 1"),
        ({"min_count": 2, "unknown": None}, "needs an unknown token"),
        ({"edges": ("<s>", "<s>")}, "edges must be two tokens"),
        ({"edges": ("<unk>", "</s>")}, "edges must be two tokens"),
        ({"skips": -1}, "skips must be at least 0"),
        ({"skip_weight": 0.0}, "skip_weight must be above 0"),
        ({"vocabulary": ["a", "b", "a"]}, r"twice: \['a'\]"),
        ({"vocabulary": ["a", "<s>"]}, "marks the start"),
    ],
)
def test_settings_out_of_range_are_reported(settings_, words):
    with pytest.raises(ValueError, match=words):
        NGram(**settings_)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AddK(0), "k must be above 0"),
        (lambda: AddK(math.nan), "k must be above 0"),
        (lambda: KneserNey(1.5), "discount must lie between 0 and 1"),
        (lambda: JelinekMercer(weights=(0.5, 1.2)), "weights must lie between 0 and 1"),
        (lambda: JelinekMercer(bins=0), "bins must be at least 1"),
        (lambda: WittenBell("bigram"), "base must be"),
        (lambda: MaximumLikelihood("raise"), "unseen must be"),
        (lambda: NGram(3, JelinekMercer((0.5, 0.5))).fit(CAT), "2 weights for a model of order 3"),
        (lambda: NGram(3, "jelinek-mercer").fit(CAT), "held_out"),
        (lambda: NGram(3).fit([]), "no tokens"),
        (lambda: NGram(3).fit([[], []]), "no tokens"),
        (lambda: NGram(3).fit([["<s>", "a"]]), "marks the start"),
        (lambda: NGram(3).fit([["a", "</s>"]]), "marks the edge"),
        (lambda: NGram(3).fit(CAT).perplexity([]), "no tokens to judge"),
        (lambda: NGram(3).fit_ids(np.arange(3), np.array([3])), "vocabulary"),
        (lambda: NGram(vocabulary="ab").fit_ids(np.arange(9), np.array([9])), "between 0 and 3"),
        (lambda: NGram(vocabulary="ab").fit_ids(np.arange(2), np.array([3])), "add up to 3"),
        (lambda: NGram().fit(CAT, weights=[[1.0]] * 4), "one number for each token"),
        (lambda: NGram().fit([["a"]], weights=[[0.0]]), "above 0"),
        (lambda: NGram().fit([["a"]], weights=[[math.nan]]), "finite"),
        (lambda: NGram(2).fit(CAT).count(["a"] * 3), "1 to 2 tokens"),
    ],
)
def test_bad_values_are_reported(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: NGram().fit("the cat sat"),
        lambda: NGram().fit(["the cat sat"]),
        lambda: NGram().fit([1, 2, 3]),
        lambda: NGram().fit([[["a"], ["b"]]]),
        lambda: NGram().fit(CAT).prob("cat", "the"),
        lambda: NGram().fit(CAT).next_probs(["the"]),
        lambda: NGram(smoothing=WittenBell),
    ],
)
def test_wrong_kinds_are_reported(make):
    with pytest.raises(TypeError, match=r"list|hashable|name or a Smoothing"):
        make()


def test_use_before_it_is_fitted():
    for ask in (lambda m: m.prob("a"), lambda m: m.perplexity(CAT), lambda m: m.sizes):
        with pytest.raises(RuntimeError, match="call fit"):
            ask(NGram())


@pytest.mark.parametrize("smoothing", SETTINGS, ids=repr)
def test_one_word_is_a_corpus(smoothing):
    model = NGram(4, smoothing).fit([["a"]], held_out=[["a"]])
    assert model.prob("a", ["<s>"]) > model.prob("<unk>", ["<s>"])
    assert len(model.next_probs([])) == 0
    assert model.next_probs([["a", "a", "a", "a", "a"]]).sum() == pytest.approx(1)
