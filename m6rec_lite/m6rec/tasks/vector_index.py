"""Nearest-neighbour search: exact, or by an approximate index.

At serving time users and items are unit vectors, and the items with the highest cosines are
recommended (M6-Rec, Cui et al., 2022, section 3). For thousands of items all cosines are computed
as a matrix product. For millions an approximate index (``faiss``) finds most of the true neighbours
in a fraction of the time; ``recall`` measures their share.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.ranking import top_k

#: ``exact`` compares with every item, ``ivf`` with those of the nearest cells.
Method = Literal["exact", "ivf"]


class VectorIndex:
    """Search for the items nearest to users.

    Args:
        items: ``(m, d)`` of unit length.
        method: ``exact``; or ``ivf``, a faiss index that sorts the items into cells around
            centres (k-means) and searches the ``probes`` cells nearest to a user.
        cells: of ``ivf``; None is the square root of the number of items, which makes finding a
            cell as expensive as searching it.
        probes: number of cells to search.
        seed: of the centres.

    Raises:
        ValueError: if there are no items, an item is not of unit length, or a setting is out of
            range.
        ImportError: if faiss is needed and not installed.
    """

    def __init__(
        self,
        items: np.ndarray,
        method: Method = "exact",
        *,
        cells: int | None = None,
        probes: int = 8,
        seed: int = 0,
    ) -> None:
        self.items = np.ascontiguousarray(items, dtype=np.float32)
        if self.items.ndim != 2 or not len(self.items):
            raise ValueError(f"items must be (m, d), m at least 1; got {np.shape(items)}")
        length = np.linalg.norm(self.items, axis=1)
        if not np.allclose(length, 1, atol=1e-3):
            worst = int(np.argmax(np.abs(length - 1)))
            raise ValueError(
                f"items must be of unit length, item {worst} is {length[worst]:.3g} long: take "
                "them from Retrieval.item_vectors"
            )
        if method not in ("exact", "ivf"):
            raise ValueError(f"method must be 'exact' or 'ivf', got {method!r}")
        self.method, self._index = method, None
        if method == "ivf":
            cells = round(math.sqrt(len(items))) if cells is None else check_whole("cells", cells)
            self._index = self._build(min(cells, len(items)), check_whole("probes", probes), seed)

    def _build(self, cells: int, probes: int, seed: int) -> Any:
        try:
            import faiss
        except ImportError as error:
            raise ImportError(
                "the approximate index needs faiss: pip install 'm6rec-lite[ann]', or take "
                "method='exact'"
            ) from error
        d = self.items.shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = seed
        index.cp.min_points_per_centroid = 1  # no warning for small catalogues
        index.train(self.items)
        index.add(self.items)
        index.nprobe = min(probes, cells)
        return index

    def search(self, people: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Return the ``k`` nearest items of each user, the nearest first.

        Args:
            people: ``(n, d)`` of unit length.
            k: number of items; at most all items are returned.

        Returns:
            ``(n, k)`` int64 indices and ``(n, k)`` float32 cosines. If an index finds fewer, the
            remaining indices are -1 and the cosines -inf.

        Raises:
            ValueError: if the vectors are not of the items' dimensions, or ``k`` is below 1.
        """
        people = np.ascontiguousarray(people, dtype=np.float32)
        if people.ndim != 2 or people.shape[1] != self.items.shape[1]:
            raise ValueError(
                f"people must be (n, {self.items.shape[1]}), as the items are; got {people.shape}"
            )
        k = min(check_whole("k", k), len(self.items))
        if self._index is None:
            cosines = people @ self.items.T
            indices = top_k(cosines, k) if len(people) else np.zeros((0, k), dtype=np.int64)
            return indices, np.take_along_axis(cosines, indices, axis=1)
        cosines, indices = self._index.search(people, k)
        return indices.astype(np.int64), np.where(indices < 0, -np.inf, cosines).astype(np.float32)

    def recall(self, people: np.ndarray, k: int = 10) -> float:
        """Return the share of the true ``k`` nearest items that ``search`` finds, from 0 to 1."""
        nearest, _ = self.search(people, k)
        true, _ = VectorIndex(self.items).search(people, k)
        shared = [len(set(a) & set(b)) for a, b in zip(nearest, true, strict=True)]
        return float(np.mean(shared)) / min(k, len(self.items))
