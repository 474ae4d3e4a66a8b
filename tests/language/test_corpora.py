"""What language models are trained on: no target within, users divided once, each token once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from m6rec_lite.data import DataError, Dataset, Split, library
from m6rec_lite.language.text.behaviour import BehaviourText, Document
from m6rec_lite.language.text.corpora import (
    Corpus,
    TokenBatch,
    TokenBatches,
    behaviour_documents,
    dialogue_documents,
    held_out,
    item_documents,
    library_corpus,
    review_documents,
)
from m6rec_lite.language.text.document import distinct_texts
from m6rec_lite.training import fit


@pytest.fixture(scope="module")
def text(bazaar: Dataset) -> BehaviourText:
    return BehaviourText(bazaar, "terse", times=None)


@pytest.fixture(scope="module")
def corpus(bazaar_split: Split, text: BehaviourText) -> Corpus:
    return behaviour_documents(bazaar_split, text, share=0)


# What the documents hold


def test_no_target_and_no_search_for_one_is_in_the_documents(
    bazaar: Dataset, bazaar_split: Split, text: BehaviourText, corpus: Corpus
) -> None:
    """Every event is counted against the training rows; every search against the last of them."""
    train = bazaar_split.train
    assert len(corpus.train) == train.n_users == len(bazaar_split.test)
    assert corpus.held_out == []
    titles = {item: text.title(item) for item in bazaar_split.item_ids}
    assert len(set(titles.values())) == len(titles)  # so that a title names its item
    ends = np.cumsum(np.bincount(train.users, minlength=train.n_users))
    last = dict(zip(train.user_ids.tolist(), train.timestamps[ends - 1].tolist(), strict=True))
    queries = bazaar.queries[bazaar.queries["user_id"].isin(last)]
    early = queries[queries["timestamp"] <= queries["user_id"].map(last)]["user_id"].value_counts()
    names = [titles[item] for item in train.item_ids[train.items]]
    targets = [
        [titles[item] for item in bazaar_split.item_ids[part.targets]]
        for part in (bazaar_split.validation, bazaar_split.test)
    ]
    start = 0
    for row, (document, end) in enumerate(zip(corpus.train, ends, strict=True)):
        events = [words for name, words in document.pieces if name == "[EVENT]"]
        searches = [words for words in events if words.endswith(" searched")]
        met = [words[1 : words.index("”")] for words in events if not words.endswith(" searched")]
        assert met == names[start:end]
        assert len(searches) == early.get(train.user_ids[row], 0)
        assert not {targets[0][row], targets[1][row]} & set(met)
        start = end


def test_a_whole_data_set_is_refused(bazaar: Dataset, text: BehaviourText) -> None:
    with pytest.raises(TypeError, match="rows hold the targets that models are tested on"):
        behaviour_documents(bazaar, text)


def test_rows_of_ones_own_are_welcome(
    bazaar_split: Split, text: BehaviourText, corpus: Corpus
) -> None:
    few = bazaar_split.train.select(np.arange(len(bazaar_split.train)) < 60)
    ours = behaviour_documents(few, text, share=0).train
    assert 0 < len(ours) < 20  # users without a row have no document
    assert ours[0] == corpus.train[0]


def test_users_are_held_out_of_every_corpus_alike(
    bazaar: Dataset, bazaar_split: Split, text: BehaviourText, corpus: Corpus
) -> None:
    divided = behaviour_documents(bazaar_split, text, share=0.2, seed=3)
    out = held_out(bazaar_split.train.user_ids, 0.2, 3)
    assert divided.held_out == [d for d, away in zip(corpus.train, out, strict=True) if away]
    assert divided.train == [d for d, away in zip(corpus.train, out, strict=True) if not away]
    reviews = review_documents(bazaar, bazaar_split, text, share=0.2, seed=3)
    rows = bazaar_split.train
    users, items = rows.user_ids[rows.users].tolist(), rows.item_ids[rows.items].tolist()
    met = set(zip(users, items, strict=True))
    away = set(bazaar_split.train.user_ids[out].tolist())
    wanted = {True: Counter(), False: Counter()}
    for user, item, said in bazaar.reviews[["user_id", "item_id", "text"]].itertuples(index=False):
        if (user, item) in met:
            wanted[user in away][text.title(item), said] += 1
    for part, documents in ((False, reviews.train), (True, reviews.held_out)):
        pieces = [document.pieces for document in documents]
        assert {tuple(name for name, _ in p) for p in pieces} == {("[ITEM]", "[SEP]")}
        assert Counter((p[0][1].strip("“”"), p[1][1]) for p in pieces) == wanted[part]
    assert 0 < len(reviews.train) + len(reviews.held_out) < len(bazaar.reviews)


def test_items_and_dialogues_are_documents_too(bazaar: Dataset, text: BehaviourText) -> None:
    items = item_documents(text)
    assert len(items.train) + len(items.held_out) == len(bazaar.items)
    first = (items.held_out if held_out([10001])[0] else items.train)[0]
    assert first.text.startswith("“The Stitch Track, Part 2: Lace Charts” a course of category")
    assert "Meant for regulars" in first.text
    talks = dialogue_documents(bazaar, share=0)
    assert len(talks.train) == bazaar.dialogues["dialogue_id"].nunique()
    assert sum(len(talk.pieces) for talk in talks.train) == len(bazaar.dialogues)
    assert talks.train[0].pieces[:2] == (
        ("[SEP]", "USER: I have an evening free for sailing and want something to buy."),
        ("[SEP]", "SYSTEM: Do you have a style in mind?"),
    )
    both = items + talks
    assert repr(both) == f"Corpus({len(both.train):,} documents, {len(both.held_out):,} held out)"


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_library_is_a_corpus_with_held_out_phrasings(bazaar: Dataset, shuffled: bool) -> None:
    corpus = library_corpus(bazaar, shuffled=shuffled)
    texts = library(bazaar.oracle.world, shuffled=shuffled)
    assert [d.text for d in corpus.train] == [t.text for t in texts if not t.held_out]
    assert [d.text for d in corpus.held_out] == [t.text for t in texts if t.held_out]
    assert {d.pieces[0][0] for d in corpus.train + corpus.held_out} == {"[SEP]"}


def test_real_data_has_no_library(bazaar: Dataset) -> None:
    with pytest.raises(DataError, match=r"no library: only the rules of a simulated world"):
        library_corpus(replace(bazaar, oracle=None))


def test_tables_that_are_not_there_are_named(bazaar: Dataset, bazaar_split: Split) -> None:
    bare = replace(bazaar, reviews=None, dialogues=None)
    with pytest.raises(DataError, match="has no dialogues"):
        dialogue_documents(bare)
    with pytest.raises(DataError, match="has no reviews"):
        review_documents(bare, bazaar_split, BehaviourText(bare))


def test_distinct_texts_come_once_in_order() -> None:
    documents = [Document((("[USER]", "a"), (None, "b"))), Document((("[USER]", "a"), (None, "c")))]
    assert distinct_texts(documents) == ["a", "b", "c"]


# Who is held out


def test_about_the_share_is_held_out_and_seeds_differ() -> None:
    ids = np.arange(100_000)
    for share in (0.0, 0.1, 0.5):
        for seed in (0, 1):
            sd = (share * (1 - share) / len(ids)) ** 0.5
            assert abs(held_out(ids, share, seed).mean() - share) <= 5 * sd
    both = held_out(ids, 0.1, 0) & held_out(ids, 0.1, 1)
    assert 0.007 < both.mean() < 0.013  # independent: .01


@given(ids=st.lists(st.integers(-(2**62), 2**62)), seed=st.integers(0, 9))
def test_who_is_held_out_does_not_depend_on_the_company(ids: list[int], seed: int) -> None:
    together = held_out(ids, 0.3, seed)
    assert together.tolist() == [held_out([i], 0.3, seed)[0] for i in ids]


@pytest.mark.parametrize("share", [-0.1, 1, 2.0, float("nan")])
def test_a_share_must_leave_something_to_learn_from(share: float) -> None:
    with pytest.raises(ValueError, match="must be a share from 0 up to below 1"):
        held_out([1], share)


# Batches


def rows_of(batch: TokenBatch) -> list[tuple[list[int], list[int]]]:
    lengths = batch.lengths.tolist()
    return [
        (ids.tolist(), targets.tolist())
        for ids, targets in zip(batch.ids.split(lengths), batch.targets.split(lengths), strict=True)
    ]


ROWS = st.lists(st.integers(0, 30), max_size=12).map(
    lambda sizes: [list(range(100 * n, 100 * n + size)) for n, size in enumerate(sizes)]
)


@settings(deadline=None)
@given(rows=ROWS, window=st.integers(1, 12), tokens=st.integers(1, 40), shuffle=st.booleans())
def test_every_token_but_a_rows_first_is_predicted_once(
    rows: list[list[int]], window: int, tokens: int, shuffle: bool
) -> None:
    if max((len(row) for row in rows), default=0) < 2:
        with pytest.raises(ValueError, match="nothing to predict"):
            TokenBatches(rows, window=window, tokens=tokens)
        return
    batches = TokenBatches(rows, window=window, tokens=tokens, shuffle=shuffle)
    epoch = batches.epoch(5, 1)
    seen = []
    for batch in epoch:
        parts = rows_of(batch)
        assert batch.lengths.tolist() == sorted(batch.lengths.tolist(), reverse=True)
        assert batch.packing.ends[-1] == len(batch.ids) - 1
        assert len(batch.ids) < tokens + window
        for ids, targets in parts:
            assert 1 <= len(ids) <= window
            assert targets == [i + 1 for i in ids]  # rows count up, so targets follow their token
            seen += targets
    assert sorted(seen) == sorted(token for row in rows for token in row[1:])
    assert batches.n_tokens == len(seen)
    assert batches.n_windows == sum(len(batch.lengths) for batch in epoch)
    assert batches.n_cut == sum(len(row) > window + 1 for row in rows)
    assert batches.n_empty == sum(len(row) < 2 for row in rows)


def test_windows_without_overlap_hold_every_token_once() -> None:
    rows = [list(range(7)), [], [70], list(range(100, 104))]
    taken = []
    batches = TokenBatches(
        rows, window=3, tokens=4, overlap=0, build=lambda parts, draw: taken.append(parts)
    )
    _ = [batches.epoch(0, 0)[i] for i in range(len(batches.epoch(0, 0)))]
    windows = sorted(part.tolist() for parts in taken for part in parts)
    assert windows == [[0, 1, 2], [3, 4, 5], [6], [70], [100, 101, 102], [103]]
    assert batches.n_tokens == 12
    assert (batches.n_cut, batches.n_empty) == (2, 1)


def test_a_batch_of_ones_own_is_given_a_generator_of_its_own() -> None:
    rows = [list(range(9))] * 6
    batches = TokenBatches(rows, tokens=8, build=lambda parts, draw: draw.random())
    drawn = list(batches.epoch(0, 0))
    assert len(set(drawn)) == len(drawn) == 6
    assert drawn == list(batches.epoch(0, 0))
    assert drawn != list(batches.epoch(0, 1))


@pytest.mark.parametrize("bad", [{"window": 0}, {"tokens": 0}, {"overlap": 2}])
def test_settings_out_of_range_are_named(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="window and tokens must be at least 1"):
        TokenBatches([[1, 2, 3]], **bad)


def test_what_was_cut_is_said() -> None:
    assert repr(TokenBatches([list(range(9)), [3], [1, 2]], window=4)) == (
        "TokenBatches(3 windows, 9 tokens; 1 rows cut into windows of 4, 1 left out)"
    )


def test_the_loop_learns_from_them() -> None:
    """A table of next-token scores learns the cycle 0 1 2 3 4 0 …, which a shifted one cannot."""
    rows = [[(start + n) % 5 for n in range(40)] for start in range(5)]
    model = nn.Embedding(5, 5)
    with torch.no_grad():
        model.weight.zero_()

    def loss(model: nn.Module, batch: TokenBatch) -> torch.Tensor:
        return F.cross_entropy(model(batch.ids), batch.targets)

    batches = TokenBatches(rows, window=8, tokens=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    fit(model, batches, loss, optimizer=optimizer, epochs=20, device="cpu", progress=False)
    assert model.weight.argmax(dim=1).tolist() == [1, 2, 3, 4, 0]
    assert loss(model, batches.epoch(0, 0)[0]).item() < 0.05
