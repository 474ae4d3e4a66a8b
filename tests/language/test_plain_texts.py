"""Plain texts of the user's own, for every kind of language model."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, load_dataset
from m6rec_lite.language import NGram, Recipe, Tokenizer, distinct_texts, load_corpus, pretrain
from m6rec_lite.m6rec.run_folder import tokens
from m6rec_lite.m6rec.settings import Pretraining

TEXTS = [f"the shop sells {n} red boots and {n % 7} hats" for n in range(60)]


def everything(corpus):
    return {document.text for document in corpus.train + corpus.held_out}


def test_lines_columns_frames_and_lists_give_the_same_corpus(tmp_path):
    frame = pd.DataFrame({"id": range(60), "said": TEXTS})
    (tmp_path / "texts.txt").write_text("\n\n".join(TEXTS) + "\n", "utf-8")
    (tmp_path / "texts.txt.gz").write_bytes(gzip.compress("\n".join(TEXTS).encode()))
    frame.to_csv(tmp_path / "texts.csv", index=False)
    frame.to_json(tmp_path / "texts.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "texts.parquet")
    wanted = load_corpus(TEXTS)
    assert everything(wanted) == set(TEXTS)
    assert 0 < len(wanted.held_out) < 20
    corpora = [load_corpus(frame, column="said")]
    corpora += [load_corpus(tmp_path / name) for name in ("texts.txt", "texts.txt.gz")]
    corpora += [
        load_corpus(tmp_path / f"texts.{ending}", column="said")
        for ending in ("csv", "jsonl", "parquet")
    ]
    assert {corpus.fingerprint for corpus in corpora} == {wanted.fingerprint}
    assert load_corpus(TEXTS, seed=1).fingerprint != wanted.fingerprint


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=30))
def test_equal_texts_are_never_on_both_sides(texts):
    try:
        corpus = load_corpus(texts, share=0.5)
    except DataError:
        return
    sides = [{document.text for document in side} for side in (corpus.train, corpus.held_out)]
    assert not sides[0] & sides[1]


def test_bad_texts_are_refused(tmp_path):
    frame = pd.DataFrame({"said": ["a", 3]})
    with pytest.raises(DataError, match=r"column='text' is not a column of the frame.*\['said'\]"):
        load_corpus(frame, column="text")
    with pytest.raises(DataError, match="wanted texts, got 3"):
        load_corpus(frame, column="said")
    with pytest.raises(DataError, match="no file is called"):
        load_corpus(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match="1 texts to train on and 0 held out"):
        load_corpus(["one"], share=0.01)


def test_every_kind_of_model_reads_the_corpus(tmp_path):
    corpus = load_corpus(TEXTS)
    ngram = NGram(2).fit([document.text.split() for document in corpus.train], progress=False)
    assert ngram.prob("boots", ["red"]) > 0.9
    tokenizer = Tokenizer.train(distinct_texts(corpus.train), 300)
    assert tokenizer.decode(tokenizer.encode(TEXTS[0])) == TEXTS[0]
    recipe = Recipe(vocab_size=300, window=16, hidden_size=16, num_hidden_layers=1,
                    num_attention_heads=2, epochs=1)  # fmt: skip
    pretrained = pretrain(recipe, None, texts=corpus, out=tmp_path / "gpt", progress=False)
    assert list(pretrained.metrics) == ["texts"]
    with pytest.raises(ValueError, match="nothing to train on"):
        pretrain(recipe, None)
    rows = pd.DataFrame({"user_id": np.arange(400) // 4, "item_id": np.arange(400) % 4})
    rows["timestamp"], rows["title"] = np.arange(400), "t" + rows["item_id"].astype("str")
    sizes = []
    for name, texts in (("without", None), ("with", corpus)):
        config = Pretraining(vocab_size=300)
        read = tokens(config, tmp_path / name, lambda: [load_dataset(rows)], False, texts)
        sizes.append([len(file) for file in read[1:]])
    assert [b - a for a, b in zip(*sizes, strict=True)] == [
        len(corpus.train),
        len(corpus.held_out),
    ]
