"""Lookups: the reviews and items that cost no model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from m6rec_lite.data import leave_one_out
from m6rec_lite.evaluation.text import tokens
from m6rec_lite.m6rec.tasks import TaskData
from m6rec_lite.m6rec.tasks.lookups import (
    NaiveBayes,
    reviews_of_same_item,
    reviews_of_same_kind,
    with_kinds,
    word_scores,
)
from tests.worlds import small

DATASET = small()
DATA = TaskData(DATASET, leave_one_out(DATASET))
ITEMS = DATASET.items.groupby("domain", observed=True)["item_id"].first().tolist()
USERS = DATASET.users.groupby("locale", observed=True)["user_id"].first()


def reviews(*rows: tuple[int, int, float, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "aspect", "text"])


def asked(item: int, own: list[str], *, user: int = int(USERS["en"])) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [user], "item_id": [item], "rating": [5.0], "own": [own]})


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_item_is_described_by_what_others_wrote_of_it() -> None:
    user, here, elsewhere = int(USERS["en"]), ITEMS[0], ITEMS[1]
    train = reviews(
        (user, here, 4.0, "value", "cheap"),
        (user, here, 4.0, "value", "cheap"),
        (user, here, 2.0, "ease", "simple"),
        (user, elsewhere, 5.0, "clarity", "clear"),
    )
    assert reviews_of_same_item(train, asked(here, []), DATA, rng()) == ["cheap"]
    # (2 + 1/2) x 1 is above 1/2 x 2
    assert reviews_of_same_item(train, asked(here, ["ease", "ease"]), DATA, rng()) == ["simple"]
    # an aspect that nobody names of this item is never chosen
    assert reviews_of_same_item(train, asked(here, ["clarity"] * 9), DATA, rng()) == ["cheap"]


def test_the_users_language_is_preferred() -> None:
    here, train_of = ITEMS[0], {}
    for locale, user in USERS.items():
        train_of[locale] = (int(user), here, 4.0, "value", f"in {locale}")
    train = reviews(*train_of.values())
    for locale, user in USERS.items():
        rows = asked(here, [], user=int(user))
        assert reviews_of_same_item(train, rows, DATA, rng()) == [f"in {locale}"]


def test_an_item_without_reviews_is_described_as_others_of_its_kind() -> None:
    user = int(USERS["en"])
    train = reviews(
        (user, ITEMS[1], 5.0, "value", "of another domain"),
        (user, ITEMS[1], 5.0, "value", "of another domain"),
        (user, ITEMS[1], 5.0, "ease", "easy elsewhere"),
    )
    assert reviews_of_same_item(train, asked(ITEMS[0], []), DATA, rng()) == ["of another domain"]
    assert reviews_of_same_item(train, asked(ITEMS[0], ["ease"]), DATA, rng()) == ["easy elsewhere"]


def test_a_review_of_the_kind_agrees_in_as_much_as_there_is() -> None:
    user, here, elsewhere = int(USERS["en"]), ITEMS[0], ITEMS[1]
    train = reviews(
        (user, here, 5.0, "value", "all agrees"),
        (user, here, 1.0, "value", "another rating"),
        (user, elsewhere, 5.0, "value", "another domain"),
    )
    kinds = [train, train[1:], train[2:]]
    texts = [reviews_of_same_kind(t, asked(here, []), ["value"], DATA, rng())[0] for t in kinds]
    assert texts == ["all agrees", "another rating", "another domain"]


def test_missing_columns_are_all_alike() -> None:
    bare = replace(DATASET, items=DATASET.items[["item_id", "title"]])
    bare = replace(bare, users=DATASET.users[["user_id"]])
    table = with_kinds(asked(ITEMS[0], []), replace(DATA, dataset=bare))
    assert table[["domain", "language"]].to_numpy().tolist() == [["", ""]]


def test_naive_bayes_is_that_of_scikit_learn() -> None:
    turns = DATASET.dialogues[DATASET.dialogues["item_id"].notna()]
    domain = DATASET.items.set_index("item_id")["domain"]
    texts, classes = turns["text"].tolist(), domain.loc[turns["item_id"]].astype(str).tolist()
    half = len(texts) // 2
    words = CountVectorizer(analyzer=tokens)
    theirs = MultinomialNB().fit(words.fit_transform(texts[:half]), classes[:half])
    ours = NaiveBayes(texts[:half], classes[:half])
    expected = theirs.predict(words.transform(texts[half:])).tolist()
    assert [ours.predict(text) for text in texts[half:]] == expected
    assert len(set(expected)) > 1


def test_naive_bayes_without_texts_says_so() -> None:
    with pytest.raises(ValueError, match="no text to learn from"):
        NaiveBayes([], [])
    assert NaiveBayes(["a", "b b"], ["x", "y"]).predict("") == "x"  # equal: alphabetical


def test_a_rare_word_counts_more_and_an_unknown_one_nothing() -> None:
    bags = [{"red", "boot"}, {"red", "hat"}, {"blue"}]
    n_with = {"red": 2, "boot": 1, "hat": 1, "blue": 1}
    scores = word_scores("red boot, red umbrella", bags, n_with)
    np.testing.assert_allclose(scores, [np.log(3 / 2) + np.log(3), np.log(3 / 2), 0.0])
