"""Neighbour models against loops that follow the formula word by word."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.recommenders import ItemKNN, UserKNN
from m6rec_lite.recommenders.neighbours import keep_top, keep_top_of_sparse

N_USERS, N_ITEMS = 25, 12


@pytest.fixture(scope="module")
def train() -> Interactions:
    rng = np.random.default_rng(5)
    rows = [
        (user, 10 * (item + 1), 100 * user + n)
        for user in range(N_USERS)
        for n, item in enumerate(rng.permutation(N_ITEMS)[: rng.integers(2, 8)])
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return Interactions.from_frame(frame, item_ids=10 * np.arange(1, N_ITEMS + 1))


@pytest.fixture(scope="module")
def queries(train: Interactions) -> Histories:
    return Histories.from_lists([[10, 40, 70], [120, 20], [90]], train.item_ids)


def nearest(values: dict[int, float], k: int) -> dict[int, float]:
    """The k largest positive values; equal ones in order of their keys."""
    ordered = sorted(values, key=lambda key: (-values[key], key))[:k]
    return {key: values[key] for key in ordered if values[key] > 0}


@pytest.mark.parametrize("k", [1, 3, 100])
@pytest.mark.parametrize("shrink", [0.0, 7.5])
@pytest.mark.parametrize("decay", [1.0, 0.6])
def test_item_knn(
    train: Interactions, queries: Histories, k: int, shrink: float, decay: float
) -> None:
    users = [set(train.users[train.items == item]) for item in range(N_ITEMS)]
    expected = np.zeros((len(queries), N_ITEMS))
    for j in range(N_ITEMS):
        similarity = {
            i: len(users[i] & users[j]) / (np.sqrt(len(users[i]) * len(users[j])) + shrink)
            for i in range(N_ITEMS)
            if i != j and users[i] and users[j]
        }
        for i, value in nearest(similarity, k).items():
            for row in range(len(queries)):
                history = queries.items[queries.offsets[row] : queries.offsets[row + 1]].tolist()
                if i in history:
                    steps_back = len(history) - 1 - history.index(i)
                    expected[row, j] += decay**steps_back * value
    model = ItemKNN(k=k, shrink=shrink, decay=decay).fit(train)
    np.testing.assert_allclose(model._score(queries), expected, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 4, 100])
@pytest.mark.parametrize("shrink", [0.0, 7.5])
@pytest.mark.parametrize("decay", [1.0, 0.6])
def test_user_knn(
    train: Interactions, queries: Histories, k: int, shrink: float, decay: float
) -> None:
    def vector(items: np.ndarray) -> np.ndarray:
        values = np.zeros(N_ITEMS)
        values[items] = decay ** np.arange(len(items) - 1, -1, -1.0)
        return values

    people = [vector(train.items[train.users == user]) for user in range(N_USERS)]
    expected = np.zeros((len(queries), N_ITEMS))
    for row in range(len(queries)):
        me = vector(queries.items[queries.offsets[row] : queries.offsets[row + 1]])
        similarity = {
            user: me @ you / (np.linalg.norm(me) * np.linalg.norm(you) + shrink)
            for user, you in enumerate(people)
        }
        for user, value in nearest(similarity, k).items():
            expected[row] += value * people[user]
    model = UserKNN(k=k, shrink=shrink, decay=decay).fit(train)
    np.testing.assert_allclose(model._score(queries), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [ItemKNN, UserKNN])
def test_blocks_do_not_show(
    train: Interactions, queries: Histories, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kind(k=3).fit(train).score(queries)
    monkeypatch.setattr("m6rec_lite.recommenders.neighbours.SCORES_IN_MEMORY", 40)
    np.testing.assert_array_equal(kind(k=3).fit(train).score(queries), whole)


def test_shrinkage_holds_back_a_pair_seen_once() -> None:
    often = [(user, item, item) for user in range(12) for item in (1, 2)]
    often += [(user, 1, 1) for user in range(12, 15)]
    once = [(50, 3, 3), (50, 4, 4)]
    rows = pd.DataFrame(often + once, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(rows)
    bare, shrunk = ItemKNN(shrink=0).fit(train), ItemKNN(shrink=10).fit(train)
    assert bare.similar_items(3)["similarity"].max() > bare.similar_items(1)["similarity"].max()
    assert shrunk.similar_items(3)["similarity"].max() < shrunk.similar_items(1)["similarity"].max()


def test_decay_turns_the_answer_to_the_latest_item() -> None:
    rows = [(u, i, i) for u in range(10) for i in ((1, 2) if u < 6 else (3, 4))]
    train = Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    queries = Histories.from_lists([[1, 3], [3, 1]], train.item_ids)
    flat = ItemKNN(shrink=10).fit(train).recommend(queries, k=1)["item_id"].tolist()
    recent = ItemKNN(shrink=10, decay=0.3).fit(train).recommend(queries, k=1)["item_id"].tolist()
    assert flat == [2, 2]
    assert recent == [4, 2]


@pytest.mark.parametrize("kind", [ItemKNN, UserKNN])
@pytest.mark.parametrize(
    "options", [{"k": 0}, {"k": 1.5}, {"shrink": -1}, {"decay": 0}, {"decay": 1.1}]
)
def test_bad_settings(kind: type, options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        kind(**options)


def test_similar_items_are_an_items_own_neighbours(train: Interactions) -> None:
    every, three = ItemKNN(k=100, shrink=1).fit(train), ItemKNN(k=3, shrink=1).fit(train)
    for item in train.item_ids.tolist():
        expected = every.similar_items(item, k=3)
        pd.testing.assert_frame_equal(three.similar_items(item, k=100), expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0]), min_size=6, max_size=6),
             min_size=1, max_size=5),
    st.integers(1, 8),
)  # fmt: skip
def test_the_neighbours_of_a_sparse_matrix_are_those_of_the_dense_one(rows, k) -> None:
    dense = np.array(rows)
    kept = keep_top_of_sparse(sparse.csr_array(dense), k)
    np.testing.assert_array_equal(kept.toarray(), keep_top(dense, k).toarray())


def test_user_knn_says_beforehand_how_long_it_takes(
    train: Interactions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = itertools.count(0.0, 2.4)  # 2.4 s for four histories
    monkeypatch.setattr(
        "m6rec_lite.recommenders.neighbours.time", SimpleNamespace(perf_counter=clock.__next__)
    )
    UserKNN().fit(train, progress=False)
    assert not caplog.text
    UserKNN().fit(train)
    assert f"with {N_USERS} users: 1,000 histories take about 10 minutes" in caplog.text
