"""Recommending by vectors of items: what is scored, cold items, what is kept, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.language.models.bert import BERT, BERTConfig
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.recommenders import ContentBased, ItemVectors, Recommender, TextVectors
from m6rec_lite.recommenders.content import tf_idf, words

TITLES = {
    10: "hiking boots",
    20: "boots for hiking",
    30: "jazz trumpet",
    40: "trumpet and jazz live",
    50: "baking bread",
    60: "",
}
ITEMS = pd.DataFrame({"item_id": list(TITLES), "title": list(TITLES.values())}).sample(
    frac=1, random_state=0
)
TRAIN = Interactions.from_frame(
    pd.DataFrame(
        [(1, 10, 1), (1, 20, 2), (2, 30, 1), (2, 40, 2), (3, 50, 1), (3, 10, 2), (4, 10, 9)],
        columns=["user_id", "item_id", "timestamp"],
    ),
    item_ids=np.array(list(TITLES)),
)


def bag_of_words(texts: list[str]) -> np.ndarray:
    return tf_idf(texts, words)[0].toarray()


def asked(*lists: list[int]) -> Histories:
    return Histories.from_lists(list(lists), TRAIN.item_ids)


def fitted(**options: object) -> TextVectors:
    return TextVectors(bag_of_words, **options).fit(TRAIN, items=ITEMS, progress=False)


HISTORIES = st.lists(st.lists(st.sampled_from(list(TITLES)), max_size=6), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(HISTORIES, st.sampled_from([1.0, 0.7]))
def test_with_the_vectors_of_tf_idf_it_is_content_based(lists: list, decay: float) -> None:
    ours = fitted(center=False, decay=decay)
    reference = ContentBased(tokenizer="words", decay=decay).fit(TRAIN, items=ITEMS, progress=False)
    np.testing.assert_allclose(ours.score(asked(*lists)), reference.score(asked(*lists)), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(HISTORIES, st.sampled_from([1.0, 0.5]), st.booleans())
def test_scores_are_cosines_with_the_decayed_mean(lists: list, decay: float, center: bool) -> None:
    rng = np.random.default_rng(0)
    table = dict(zip(TITLES, rng.normal(1.0, 1.0, (len(TITLES), 5)), strict=True))
    table[60] = np.zeros(5)
    items = ITEMS.assign(vector=[table[i].tolist() for i in ITEMS["item_id"]])
    model = ItemVectors(center=center, decay=decay).fit(TRAIN, items=items, progress=False)
    mean = np.mean([table[i] for i in TITLES if i != 60], axis=0) * center
    unit = {i: (v - mean) / np.linalg.norm(v - mean) for i, v in table.items() if i != 60}
    unit[60] = np.zeros(5)
    scores = model.score(asked(*lists))
    for row, history in zip(scores, lists, strict=True):
        steps = np.arange(len(history))[::-1]
        met = dict.fromkeys(history, 1.0)  # without decay a history is a set
        weights = [decay**s for s in steps] if decay < 1 else list(met.values())
        which = history if decay < 1 else list(met)
        profile = sum((w * unit[i] for w, i in zip(weights, which, strict=True)), np.zeros(5))
        length = np.linalg.norm(profile)
        if length < 1e-6:  # nothing known: popularity answers
            np.testing.assert_array_equal(row, model.popularity_)
            continue
        wanted = [profile @ unit[i] / length for i in TITLES]
        np.testing.assert_allclose(row, wanted, atol=1e-5)


def test_an_item_never_seen_is_recommended_by_its_text() -> None:
    cold = 20
    train = TRAIN.select(TRAIN.item_ids[TRAIN.items] != cold)
    assert cold not in train.item_ids[train.items]
    model = TextVectors(bag_of_words).fit(train, items=ITEMS, progress=False)
    best = model.recommend(Histories.from_lists([[10]], train.item_ids), k=1)
    assert best["item_id"].tolist() == [cold]
    assert model.similar_items(cold, k=1)["item_id"].tolist() == [10]


def test_an_item_without_text_scores_nothing() -> None:
    scores = fitted().score(asked([10], [60], []))
    assert scores[0, 5] == 0
    np.testing.assert_array_equal(scores[1], fitted().popularity_)  # it says nothing of its reader
    np.testing.assert_array_equal(scores[2], fitted().popularity_)


def test_recency_turns_the_profile() -> None:
    model = fitted(decay=0.3)
    late_jazz, late_boots = model.score(asked([10, 30], [30, 10]))
    assert late_jazz[3] > late_jazz[1]
    assert late_boots[3] < late_boots[1]


def test_centering_takes_out_what_all_share() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(6, 8))

    def shifted(texts: list[str]) -> np.ndarray:
        return np.stack([base[sorted(TITLES.values()).index(text)] + 100 for text in texts])

    plain = TextVectors(shifted, center=False).fit(TRAIN, items=ITEMS, progress=False)
    centred = TextVectors(shifted).fit(TRAIN, items=ITEMS, progress=False)
    assert plain.score(asked([10])).min() > 0.99  # everything is like everything
    assert centred.score(asked([10])).min() < 0


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights: enough to tell texts apart."""
    tokenizer = Tokenizer.train(list(TITLES.values()) * 3, vocab_size=300)
    config = BERTConfig(tokenizer.vocab_size, hidden_size=16, num_hidden_layers=1)
    model = BERT(config, generator=torch.Generator().manual_seed(0))
    return model.save_pretrained(tmp_path_factory.mktemp("little"), tokenizer)


def test_a_named_model_reads_the_texts(little: Path, tmp_path: Path) -> None:
    model = TextVectors(little, pooling="last4").fit(TRAIN, items=ITEMS, progress=False)
    assert model.vectors_.shape == (6, 16)
    assert (model.vectors_[5] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(model.vectors_[:5], axis=1), 1, rtol=1e-5)
    assert model.n_params == np.count_nonzero(model.vectors_)
    loaded = Recommender.load(model.save(tmp_path / "model"))
    assert isinstance(loaded, TextVectors)
    assert loaded.encoder == str(little)
    assert loaded.pooling == "last4"
    np.testing.assert_array_equal(loaded.score(asked([10], [30])), model.score(asked([10], [30])))
    again = TextVectors(**loaded.get_params()).fit(TRAIN, items=ITEMS, progress=False)
    np.testing.assert_array_equal(again.vectors_, model.vectors_)


def test_of_a_function_the_name_is_kept(tmp_path: Path) -> None:
    model = fitted(decay=0.9)
    assert model.variant == "encoder=bag_of_words decay=0.9"
    loaded = TextVectors.load(model.save(tmp_path / "model"))
    assert loaded.variant == model.variant
    np.testing.assert_array_equal(loaded.score(asked([10])), model.score(asked([10])))


# Bad input.


def with_vectors(vectors: list) -> pd.DataFrame:
    return ITEMS.assign(vector=vectors)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (None, r"ItemVectors reads items: call fit\(train, items="),
        (ITEMS.iloc[:4], "lacks 2 of the catalogue's 6 items"),
        (ITEMS, r"no column 'vector' of vectors; it has .*items.assign\(vector=list\(matrix\)\)"),
        (with_vectors([[1.0, 2]] * 5 + [[1.0]]), r"must be of one length, got lengths \[1, 2\]"),
        (with_vectors([[]] * 6), r"got lengths \[0\]"),
        (with_vectors([[1.0, 2]] * 5 + [[1, np.nan]]), "vectors of 1 items hold NaN or infinity"),
        (with_vectors([[0.0, 0]] * 6), "every item's vector is 0"),
    ],
)
def test_vectors_that_cannot_be_are_refused(items: pd.DataFrame | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ItemVectors().fit(TRAIN, items=items, progress=False)


def test_texts_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="TextVectors reads items"):
        TextVectors(bag_of_words).fit(TRAIN, progress=False)
    with pytest.raises(DataError, match=r"none of \['description'\]"):
        fitted(columns=["description"])
    with pytest.raises(DataError, match="no text in the columns"):
        TextVectors(bag_of_words).fit(TRAIN, items=ITEMS.assign(title=""), progress=False)
    with pytest.raises(DataError, match=r"expected a vector for each of 6 items, got \(2, 3\)"):
        TextVectors(lambda texts: np.ones((2, 3))).fit(TRAIN, items=ITEMS, progress=False)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="pooling must be one of"):
        TextVectors(pooling="max")
    with pytest.raises(ValueError, match="columns must be a list"):
        TextVectors(columns="title")
    with pytest.raises(ValueError, match="decay must be"):
        ItemVectors(decay=0)
