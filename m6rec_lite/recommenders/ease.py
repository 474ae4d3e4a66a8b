"""EASE: a linear item-to-item model with a closed-form solution.

Source: Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, 2019, equations 2 to 8.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import linalg, sparse

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.evaluation.memory import free_memory, require_memory
from m6rec_lite.recommenders.base import Recommender, recency_weights
from m6rec_lite.recommenders.params import check_in_range, check_whole


class EASE(Recommender):
    """Predict each item from the *other* items of a user, ``X ~ X B``.

    The weights B minimise ``|X - X B|^2 + l2 |B|^2`` subject to ``diag(B) = 0``, which excludes the
    identity. The solution needs one matrix inverse: with ``P = (X'X + l2 I)^-1``,
    ``B[i, j] = -P[i, j] / P[j, j]`` off the diagonal (equation 8).

    The scores of a history x are ``x B``, where x is ``decay ** steps_back`` for each item of the
    history. Training ignores the order of events: weighting the rows of X as well did not improve
    the ranking on MovieLens-100K.

    Fitting needs ``8 * n_items ** 2`` bytes of memory in float64, and more for pairs of items that
    have users in common; ``fit`` refuses a catalogue for which that is not free.

    Args:
        l2: strength of the L2 penalty.
        decay: factor on the weight of an event for each step back in the history, in (0, 1]; 1 is
            the published model.
        dtype: type of the matrices; ``"float32"`` halves the memory.
        top_items: fit only the items with the most users; the others rank below them, in the order
            of popularity. None fits all.

    Attributes:
        weights_: ``(m, m)``, B of the m items that were fitted.
        kept_: ``(m,)`` ascending indices of these items; only with ``top_items``.
    """

    def __init__(
        self,
        l2: float = 300.0,
        decay: float = 1.0,
        dtype: Literal["float64", "float32"] = "float64",
        top_items: int | None = None,
    ) -> None:
        check_in_range("l2", l2, 0, open_low=True)
        check_in_range("decay", decay, 0, 1, open_low=True)
        if dtype not in ("float64", "float32"):
            raise ValueError(f"dtype must be 'float64' or 'float32', got {dtype!r}")
        self.l2 = l2
        self.decay = decay
        self.dtype = dtype
        self.top_items = None if top_items is None else check_whole("top_items", top_items)

    def _fit(self, train: Interactions, **extras: Any) -> None:
        x = train.matrix().astype(self.dtype)  # (n_users, n_items); counts are exact up to 2 ** 24
        vars(self).pop("kept_", None)  # of an earlier fit
        if self.top_items is not None:
            self.kept_ = np.sort(np.argsort(-self.popularity_, kind="stable")[: self.top_items])
            x = x[:, self.kept_]
        self._require_memory(x)
        gram = (x.T @ x).toarray(order="F")  # (m, m)
        gram[np.diag_indices_from(gram)] += self.l2
        # The matrix is positive definite: Cholesky factorization and inversion, both in place.
        factorise, invert = linalg.get_lapack_funcs(("potrf", "potri"), (gram,))
        factor, factorise_info = factorise(gram, lower=True, overwrite_a=True)
        inverse, invert_info = invert(factor, lower=True, overwrite_c=True)
        if factorise_info or invert_info:
            raise linalg.LinAlgError(
                f"X'X + {self.l2} I cannot be inverted in {self.dtype}: raise l2 or use float64"
            )
        _mirror(inverse)  # potri fills one triangle; P is symmetric
        weights = inverse.T  # equal to P, and rows are contiguous
        weights /= -np.diag(weights)  # column j by -P[j, j]
        np.fill_diagonal(weights, 0.0)
        self.weights_ = weights

    def _require_memory(self, x: sparse.csr_array) -> None:
        """Refuse a fit that would not fit into memory, and say what would."""
        m, width = x.shape[1], np.dtype(self.dtype).itemsize
        pairs = min(float(m) ** 2, float((np.diff(x.indptr).astype(np.float64) ** 2).sum()))
        needed = width * m**2 + (width + 8) * pairs  # the matrix, and X'X as a sparse one
        per_pair = needed / m**2
        largest = int((free_memory() / per_pair) ** 0.5) // 100 * 100
        advice = 'dtype="float32" halves the memory. ' if self.dtype == "float64" else ""
        if largest:
            advice += f"EASE(top_items={largest}) fits the {largest:,} items with the most users"
        require_memory(needed, f"EASE of {m:,} items", advice)

    def _score(self, histories: Histories) -> np.ndarray:
        x = histories.matrix(recency_weights(histories, self.decay)).astype(self.dtype)
        if self.top_items is None:
            return x @ self.weights_
        x = x[:, self.kept_]
        fitted = x @ self.weights_
        # the other items follow in the order of popularity: from 2 to 1 below the lowest score
        share = self.popularity_ / self.popularity_.max()
        scores = fitted.min(axis=1, keepdims=True) - 2 + share.astype(self.dtype)
        scores[:, self.kept_] = fitted
        scores[np.diff(x.indptr) == 0] = self.popularity_  # no item of the history was fitted
        return scores

    def _similarity(self, index: int) -> np.ndarray:
        if self.top_items is None:
            return self.weights_[index].copy()
        similarity = np.zeros(len(self.popularity_), dtype=self.dtype)
        similarity[self.kept_] = self.weights_[self.kept_ == index].sum(axis=0)
        return similarity

    def _count_params(self) -> int:
        return int(np.count_nonzero(self.weights_))


def _mirror(matrix: np.ndarray, block: int = 1024) -> None:
    """Copy the lower triangle of a square matrix to the upper one, in place, in blocks."""
    for start in range(0, len(matrix), block):
        rows = slice(start, start + block)
        matrix[:start, rows] = matrix[rows, :start].T
        lower = np.tril(matrix[rows, rows])
        matrix[rows, rows] = lower + np.tril(lower, -1).T
