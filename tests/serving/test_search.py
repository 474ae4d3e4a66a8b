"""Indexes return the items with the largest products; ranking by one equals ranking by scores."""

from __future__ import annotations

import numpy as np
import pytest

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.recommenders import GRU4Rec, SASRec
from m6rec_lite.serving import build_index, to_unit_items
from m6rec_lite.serving.indexed_ranker import IndexedRanker
from m6rec_lite.serving.search import rank_all
from tests.serving.models import LOG


def test_unit_items_keep_the_order_of_the_products() -> None:
    draws = np.random.default_rng(0)
    items, people = draws.normal(size=(50, 4)) * draws.random((50, 1)), draws.normal(size=(9, 4))
    units = to_unit_items(items)
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, rtol=1e-6)
    queries = np.column_stack([people, np.zeros(9)])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    indices, _ = build_index(units).search(queries, 5)
    assert indices.tolist() == np.argsort(-people @ items.T, axis=1)[:, :5].tolist()


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
def test_an_exact_index_ranks_as_the_scores_do(kind) -> None:
    train = Interactions.from_frame(LOG)
    model = kind(hidden_size=8, epochs=2, lr=0.01, device="cpu").fit(train, progress=False)
    histories = Histories.from_lists([[10], [20, 30], [], [60, 50, 40, 10, 20]], model.item_ids)
    wanted, found = rank_all(model, histories, 4), IndexedRanker(model, "exact").rank(histories, 4)
    assert found[0].tolist() == wanted[0].tolist()
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5, atol=1e-6)
    assert found[0][3].tolist()[1:] == [-1, -1, -1]  # five of six items are seen


@pytest.mark.extra
@pytest.mark.parametrize("method", ["faiss", "usearch"])
def test_an_approximate_index_finds_most_neighbours(method) -> None:
    pytest.importorskip(method)
    draws = np.random.default_rng(1)
    items = draws.normal(size=(3000, 16))
    people = items[:40] / np.linalg.norm(items[:40], axis=1, keepdims=True)
    units = items / np.linalg.norm(items, axis=1, keepdims=True)
    found, cosines = build_index(units, method).search(people, 10)
    true, _ = build_index(units).search(people, 10)
    assert (found[:, 0] == np.arange(40)).mean() > 0.9
    assert np.mean([len({*a} & {*b}) for a, b in zip(found, true, strict=True)]) > 5
    assert (np.diff(cosines, axis=1) <= 1e-6).all()


def test_wrong_input_says_what_to_do(monkeypatch) -> None:
    with pytest.raises(ValueError, match="'exact', 'faiss' or 'usearch'"):
        build_index(np.eye(3), "annoy")
    monkeypatch.setitem(__import__("sys").modules, "usearch.index", None)
    with pytest.raises(ImportError, match=r"m6rec-lite\[ann\]"):
        build_index(np.eye(3), "usearch")
    from m6rec_lite.recommenders import Popularity

    with pytest.raises(TypeError, match="search='exact'"):
        IndexedRanker(Popularity().fit(Interactions.from_frame(LOG)), "exact")
