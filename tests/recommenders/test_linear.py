"""EASE against the textbook inverse, and against what it is meant to minimise."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.evaluation.memory import OutOfMemoryError
from m6rec_lite.m6rec.retriever_parts import linear_weights
from m6rec_lite.recommenders import EASE, BagRecommender
from m6rec_lite.trust.perturbations import incoherence


@pytest.fixture(scope="module")
def train() -> Interactions:
    rng = np.random.default_rng(11)
    taste = rng.random((60, 3)) @ rng.random((3, 15))
    users, items = np.nonzero(taste + 0.3 * rng.random(taste.shape) > 1.0)
    frame = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": rng.random(len(users))})
    return Interactions.from_frame(frame.astype("int64"))


def textbook(x: np.ndarray, l2: float) -> np.ndarray:
    p = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    b = np.eye(x.shape[1]) - p @ np.diag(1 / np.diag(p))  # Steck 2019, equation 8
    np.fill_diagonal(b, 0.0)
    return b


@pytest.mark.parametrize("l2", [0.5, 10.0, 1000.0])
def test_weights_equal_the_textbook(train: Interactions, l2: float) -> None:
    expected = textbook(train.matrix().toarray(), l2)
    np.testing.assert_allclose(EASE(l2=l2).fit(train).weights_, expected, atol=1e-12)
    single = EASE(l2=l2, dtype="float32").fit(train).weights_
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-4)


def test_weights_are_a_minimum_under_the_constraint(train: Interactions) -> None:
    x, l2 = train.matrix().toarray(), 7.0
    b = EASE(l2=l2).fit(train).weights_
    gradient = 2 * x.T @ (x @ b - x) + 2 * l2 * b
    np.testing.assert_array_equal(np.diag(b), 0.0)
    np.testing.assert_allclose(gradient[~np.eye(len(b), dtype=bool)], 0.0, atol=1e-9)


def test_scores_weight_the_history(train: Interactions) -> None:
    model = EASE(l2=2.0, decay=0.5).fit(train)
    queries = Histories.from_lists([train.item_ids[[4, 0, 7]].tolist()], train.item_ids)
    expected = 0.25 * model.weights_[4] + 0.5 * model.weights_[0] + model.weights_[7]
    np.testing.assert_allclose(model.score(queries)[0], expected)


def test_repeats_count_once_without_decay(train: Interactions) -> None:
    model = EASE(l2=2.0).fit(train)
    ids = train.item_ids[[4, 0]].tolist()
    queries = Histories.from_lists([ids, ids * 2], train.item_ids)
    scores = model.score(queries)
    np.testing.assert_array_equal(scores[0], scores[1])


@pytest.mark.parametrize(
    "options", [{"l2": 0}, {"l2": -5}, {"decay": 0}, {"decay": 2}, {"dtype": "float16"}]
)
def test_bad_settings(options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        EASE(**options)


def test_top_items_are_fitted_alone_and_the_others_follow_by_popularity(
    train: Interactions,
) -> None:
    model = EASE(l2=2.0, top_items=6).fit(train)
    kept = np.sort(np.argsort(-model.popularity_, kind="stable")[:6])
    np.testing.assert_array_equal(model.kept_, kept)
    x = train.matrix().toarray()[:, kept]
    np.testing.assert_allclose(model.weights_, textbook(x, 2.0), atol=1e-12)
    rest = np.setdiff1d(np.arange(train.n_items), kept)
    scores = model.score(train.histories())
    assert (scores[:, rest].max(axis=1) < scores[:, kept].min(axis=1)).all()
    by_popularity = rest[np.argsort(-model.popularity_[rest], kind="stable")]
    assert (np.diff(scores[:, by_popularity], axis=1) <= 0).all()
    only_rest = Histories.from_lists([train.item_ids[rest].tolist()], train.item_ids)
    np.testing.assert_array_equal(model.score(only_rest)[0], model.popularity_)
    assert (model.similar_items(train.item_ids[rest[0]])).empty
    every = EASE(l2=2.0, top_items=99).fit(train)
    np.testing.assert_array_equal(every.weights_, EASE(l2=2.0).fit(train).weights_)
    assert not hasattr(every.set_params(top_items=None).fit(train), "kept_")


def test_a_catalogue_that_does_not_fit_is_refused_before_the_work(
    train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(available=float(8 * 15**2 - 1))
    monkeypatch.setattr("m6rec_lite.evaluation.memory.psutil.virtual_memory", lambda: free)
    with pytest.raises(OutOfMemoryError, match=r'EASE of 14 items needs.*"float32" halves'):
        EASE().fit(train)
    free.available = 1e9
    EASE().fit(train)


def test_the_advised_number_of_items_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"user_id": rng.integers(0, 40, 4000), "item_id": rng.integers(0, 700, 4000)}
    )
    rows = Interactions.from_frame(frame.assign(timestamp=0))
    free = SimpleNamespace(available=3e6)
    monkeypatch.setattr("m6rec_lite.evaluation.memory.psutil.virtual_memory", lambda: free)
    with pytest.raises(OutOfMemoryError) as error:
        EASE().fit(rows)
    advised = int(re.search(r"top_items=(\d+)", str(error.value))[1])
    assert 0 < advised < 700
    assert len(EASE(top_items=advised).fit(rows).kept_) == advised


def test_every_model_whose_memory_grows_so_is_refused(
    train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(available=100.0)
    monkeypatch.setattr("m6rec_lite.evaluation.memory.psutil.virtual_memory", lambda: free)
    works = {
        "smaller sample_rate": lambda: BagRecommender(item_input="ids").fit(train),
        "fewer items": lambda: incoherence(train),
        "linear=False": lambda: linear_weights(train),
    }
    for advice, work in works.items():
        with pytest.raises(OutOfMemoryError, match=advice):
            work()
