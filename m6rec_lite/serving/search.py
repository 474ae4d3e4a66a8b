"""Vector search: the items whose vectors have the largest product with that of a history.

Three indexes have one method, ``search(people, k)``: ``m6rec.VectorIndex``, which is exact or an
inverted file of faiss, and ``GraphIndex``, a graph of usearch (HNSW; Malkov and Yashunin, 2016).
Indexes compare directions. ``to_unit_items`` turns the largest product into the largest cosine
(Bachrach et al., *Speeding up the Xbox recommender system*, 2014).
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from m6rec_lite.data.interactions import Histories
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.ranking import top_k

SearchMethod = Literal["exact", "faiss", "usearch"]


class Index(Protocol):
    """What finds the nearest items: ``VectorIndex`` or ``GraphIndex``."""

    def search(self, people: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(n, k)`` indices and cosines of ``(n, d)`` people; -1 and -inf if missing."""


class GraphIndex:
    """A graph of near neighbours (usearch), searched from item to item.

    Args:
        items: ``(m, d)`` of unit length.
        effort: number of candidates that a search keeps; more find more of the true neighbours.

    Raises:
        ImportError: if usearch is not installed.
    """

    def __init__(self, items: np.ndarray, *, effort: int = 64) -> None:
        try:
            from usearch.index import Index as Graph
        except ImportError as error:
            raise ImportError(
                "a graph index needs usearch: pip install 'm6rec-lite[ann]', or take 'exact'"
            ) from error
        self._graph = Graph(ndim=items.shape[1], metric="ip", dtype="f32", expansion_search=effort)
        keys, vectors = np.arange(len(items)), np.ascontiguousarray(items, dtype=np.float32)
        self._graph.add(keys, vectors, threads=1)  # one order of insertion, one graph

    def search(self, people: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Return the ``k`` nearest items of each user; see ``VectorIndex.search``."""
        k = min(check_whole("k", k), len(self._graph))
        indices = np.full((len(people), k), -1, dtype=np.int64)
        cosines = np.full((len(people), k), -np.inf, dtype=np.float32)
        for row, person in enumerate(np.ascontiguousarray(people, dtype=np.float32)):
            matches = self._graph.search(person, k)
            indices[row, : len(matches)] = matches.keys
            cosines[row, : len(matches)] = 1 - matches.distances
        return indices, cosines


def build_index(items: np.ndarray, method: SearchMethod = "exact") -> Index:
    """Return an index of ``(m, d)`` items of unit length.

    Raises:
        ValueError: if the method is unknown, or items are not of unit length.
        ImportError: if the library of the method is not installed.
    """
    if method == "usearch":
        return GraphIndex(items)
    methods: dict[str, Literal["exact", "ivf"]] = {"exact": "exact", "faiss": "ivf"}
    if method not in methods:
        raise ValueError(f"method must be 'exact', 'faiss' or 'usearch', got {method!r}")
    from m6rec_lite.m6rec.tasks.vector_index import VectorIndex  # its package needs torch

    return VectorIndex(items, methods[method])


def to_unit_items(vectors: np.ndarray) -> np.ndarray:
    """Return ``(m, d + 1)`` unit vectors whose cosines order as the products of ``vectors``.

    With the longest vector's length M, item v becomes ``(v, sqrt(M^2 - |v|^2)) / M``. The other
    side is ``(q, 0) / |q|``, and the cosine is ``q v / (M |q|)``: M and |q| change no order.

    Args:
        vectors: ``(m, d)``, at least one of them not 0.
    """
    squares = np.einsum("md,md->m", vectors, vectors)
    longest = squares.max()
    rest = np.sqrt(np.maximum(longest - squares, 0))
    return (np.column_stack([vectors, rest]) / np.sqrt(longest)).astype(np.float32)


def rank_all(model: Recommender, histories: Histories, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``k`` best unseen items of each history by scoring every item.

    Returns:
        ``(n, k)`` indices, -1 where fewer can be recommended, and scores, -inf there.

    Raises:
        FloatingPointError: if a score is NaN.
    """
    scores = model.score(histories).astype(np.float64)
    if np.isnan(scores).any():
        raise FloatingPointError(f"{model!r} returned scores that are not numbers (NaN)")
    scores[histories.rows, histories.items] = -np.inf
    indices = top_k(scores, k)
    best = np.take_along_axis(scores, indices, axis=1)
    return np.where(best > -np.inf, indices, -1), best
