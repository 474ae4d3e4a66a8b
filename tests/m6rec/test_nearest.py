"""Nearest items: the exact ones, and how many of them an index finds."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from m6rec_lite.m6rec.tasks.vector_index import VectorIndex


def unit(n: int, d: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ITEMS, PEOPLE = unit(500, 16, 0), unit(20, 16, 1)


def test_exact_search_is_the_sorted_cosines() -> None:
    indices, cosines = VectorIndex(ITEMS).search(PEOPLE, 7)
    truth = PEOPLE.astype(np.float64) @ ITEMS.T.astype(np.float64)
    assert indices.tolist() == np.argsort(-truth, axis=1)[:, :7].tolist()
    np.testing.assert_allclose(cosines, -np.sort(-truth, axis=1)[:, :7], rtol=1e-5)
    assert VectorIndex(ITEMS).search(PEOPLE, 1000)[0].shape == (20, 500)
    assert VectorIndex(ITEMS).search(PEOPLE[:0], 3)[0].shape == (0, 3)


@pytest.mark.extra
def test_an_index_that_looks_everywhere_is_exact_and_one_that_does_not_finds_less() -> None:
    pytest.importorskip("faiss", reason="the extra 'ann' is not installed")
    whole = VectorIndex(ITEMS, "ivf", cells=20, probes=20)
    assert whole.search(PEOPLE, 5)[0].tolist() == VectorIndex(ITEMS).search(PEOPLE, 5)[0].tolist()
    assert whole.recall(PEOPLE) == 1
    recalls = [VectorIndex(ITEMS, "ivf", cells=20, probes=n).recall(PEOPLE) for n in (1, 5, 20)]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9
    indices, cosines = VectorIndex(ITEMS, "ivf", cells=400, probes=1).search(PEOPLE, 50)
    assert (indices[cosines == -np.inf] == -1).all()
    assert (indices == -1).any()
    again = [VectorIndex(ITEMS, "ivf", probes=2, seed=3).search(PEOPLE, 9)[0] for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_without_faiss_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"m6rec-lite\[ann\]"):
        VectorIndex(ITEMS, "ivf")
    assert VectorIndex(ITEMS).recall(PEOPLE) == 1


def test_bad_input_is_said() -> None:
    for wrong, says in (
        (np.zeros((0, 3)), "m at least 1"),
        (2 * ITEMS, "unit length"),
        (ITEMS[0], "must be"),
    ):
        with pytest.raises(ValueError, match=says):
            VectorIndex(wrong)
    with pytest.raises(ValueError, match="'exact' or 'ivf'"):
        VectorIndex(ITEMS, "magic")
    with pytest.raises(ValueError, match=r"\(n, 16\)"):
        VectorIndex(ITEMS).search(PEOPLE[:, :3])
    with pytest.raises(ValueError, match="k must be"):
        VectorIndex(ITEMS).search(PEOPLE, 0)
