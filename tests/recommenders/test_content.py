"""TF-IDF against scikit-learn, and what the tokenizers make of Chinese."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.recommenders import ContentBased
from m6rec_lite.recommenders.content import item_texts, tf_idf, words, words_and_bigrams

TEXTS = st.lists(
    st.text(st.sampled_from("abcd Éß 9-_,.\n登山靴水"), max_size=25), min_size=1, max_size=8
)


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(1, 2))
def test_tf_idf_equals_scikit_learn(texts: list[str], min_df: int) -> None:
    reference = TfidfVectorizer(min_df=min_df)
    ours, vocabulary = tf_idf(texts, words, min_df)
    try:
        expected = reference.fit_transform(texts)
    except ValueError:  # scikit-learn refuses an empty vocabulary
        assert ours.shape == (len(texts), 0)
        return
    assert vocabulary.tolist() == reference.get_feature_names_out().tolist()
    np.testing.assert_allclose(ours.toarray(), expected.toarray(), atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_tf_idf_with_bigrams_equals_scikit_learn(texts: list[str]) -> None:
    reference = TfidfVectorizer(tokenizer=words_and_bigrams, token_pattern=None, lowercase=False)
    ours, vocabulary = tf_idf(texts, words_and_bigrams)
    try:
        expected = reference.fit_transform(texts)
    except ValueError:
        assert ours.shape == (len(texts), 0)
        return
    assert vocabulary.tolist() == reference.get_feature_names_out().tolist()
    np.testing.assert_allclose(ours.toarray(), expected.toarray(), atol=1e-12)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Two pairs of BOOTS, size 9 or 44", ["two", "pairs", "of", "boots", "size", "or", "44"]),
        ("防水登山靴", ["防水", "水登", "登山", "山靴"]),
        ("茶", ["茶"]),
        ("GPS手表x", ["gps", "手表"]),
        ("登山, 靴子。", ["登山", "靴子"]),
        ("カメラ", ["カメ", "メラ"]),
        ("", []),
        ("?! - …", []),
    ],
)
def test_words_and_bigrams(text: str, tokens: list[str]) -> None:
    assert words_and_bigrams(text) == tokens


@given(st.text(st.sampled_from("abcXYZ 09_.,-éß"), max_size=40))
def test_tokenizers_agree_where_words_are_spaced(text: str) -> None:
    assert words_and_bigrams(text) == words(text)


ITEMS = pd.DataFrame(
    {
        "item_id": [1, 2, 3, 4, 5],
        "title": ["防水登山靴", "轻便登山杖", "爵士小号", "小号入门", "Jazz"],
        "description": [None, "", np.nan, None, None],
        "tags": [["out"], None, np.array(["music"]), [], ("music", "live")],
    }
)
TRAIN = Interactions.from_frame(
    pd.DataFrame({"user_id": [1, 1], "item_id": [1, 5], "timestamp": [1, 2]}),
    item_ids=np.arange(1, 6),
)


def test_texts_join_what_there_is() -> None:
    assert item_texts(ITEMS, ["title", "description", "tags", "colour"]) == [
        " 防水登山靴 out",
        " 轻便登山杖",
        " 爵士小号 music",
        " 小号入门",
        " Jazz music live",
    ]


def test_chinese_items_are_alike_by_bigrams_only() -> None:
    queries = Histories.from_lists([[1], [4]], TRAIN.item_ids)
    bigrams = ContentBased().fit(TRAIN, items=ITEMS)
    assert bigrams.recommend(queries, k=1)["item_id"].tolist() == [2, 3]
    spaced = ContentBased(tokenizer="words").fit(TRAIN, items=ITEMS)._score(queries)
    assert (np.delete(spaced[0], 0) == 0).all()


def test_score_is_the_cosine_of_profile_and_item() -> None:
    model = ContentBased(decay=0.5).fit(TRAIN, items=ITEMS)
    vectors = model.vectors_.toarray()
    profile = 0.5 * vectors[2] + vectors[4]
    expected = vectors @ profile / np.linalg.norm(profile)
    queries = Histories.from_lists([[3, 5]], TRAIN.item_ids)
    np.testing.assert_allclose(model.score(queries)[0], expected)
    assert expected.max() <= 1 + 1e-12


def test_a_function_can_tokenize_but_not_be_saved(tmp_path) -> None:
    model = ContentBased(tokenizer=list).fit(TRAIN, items=ITEMS)
    queries = Histories.from_lists([[1]], TRAIN.item_ids)
    assert model.recommend(queries, k=1)["item_id"].tolist() == [2]
    assert model.variant == "tokenizer=list"
    with pytest.raises(TypeError, match="cannot be written"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_errors_say_what_is_wanted() -> None:
    with pytest.raises(DataError, match=r"items=dataset\.items"):
        ContentBased().fit(TRAIN)
    with pytest.raises(DataError, match=r"lacks 2 of the catalogue's 5 items: \[2, 4\]"):
        ContentBased().fit(TRAIN, items=ITEMS[~ITEMS["item_id"].isin([2, 4])])
    with pytest.raises(DataError, match="has none of"):
        ContentBased(columns=["name"]).fit(TRAIN, items=ITEMS)
    with pytest.raises(DataError, match="no words"):
        ContentBased(columns=["description"]).fit(TRAIN, items=ITEMS)
    with pytest.raises(ValueError, match="tokenizer must be"):
        ContentBased(tokenizer="jieba")
    with pytest.raises(ValueError, match="list of names"):
        ContentBased(columns="title")
