"""Content-based filtering with given item vectors, such as text embeddings of a language model.

As in ``content``, the profile of a user is the sum of the vectors of the history's items. Text
embeddings of "boots" and "hiking shoes" are similar although the texts have no word in common, and
an item needs no interactions to be recommended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.language.models.features import POOLINGS, Pooling, TextEncoder
from m6rec_lite.recommenders.base import Recommender, recency_weights
from m6rec_lite.recommenders.content import catalogue_table, item_texts
from m6rec_lite.recommenders.params import check_in_range

#: Decimals of a cosine. Rounding keeps items with the same text tied: the last bits of a matrix
#: product depend on the size of the batch.
DECIMALS = 9


class ItemVectors(Recommender):
    """Score an item by the cosine similarity of its vector and the profile of the history.

    The profile is the sum of the unit vectors of the history's items, each weighted by
    ``decay ** steps_back``. Items without training rows are scored too. A vector of zeros marks an
    item without a known vector; it scores 0.

    Args:
        column: column of the items table with the vector (a list of numbers) of each item.
        center: subtract the mean vector of the catalogue first. The states of language models have
            a large common component, which makes all cosines high (Mu and Viswanath,
            *All-but-the-top*, 2018).
        decay: factor on the weight of an event for each step back in the history, in (0, 1]; 1
            ignores the order.
    """

    def __init__(self, column: str = "vector", center: bool = True, decay: float = 1.0) -> None:
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.column = column
        self.center = center
        self.decay = decay

    def _fit(
        self,
        train: Interactions,
        *,
        items: pd.DataFrame | None = None,
        progress: bool = True,
        **extras: Any,
    ) -> None:
        catalogue = catalogue_table(items, train, self.name)
        vectors = self._vectors(catalogue, progress)
        if vectors.ndim != 2 or len(vectors) != len(catalogue):
            raise DataError(
                f"expected a vector for each of {len(catalogue)} items, got {vectors.shape}"
            )
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            invalid = train.item_ids[~finite]
            raise DataError(
                f"the vectors of {len(invalid)} items hold NaN or infinity, such as those of "
                f"{invalid[:5].tolist()}; give 0 for an item without a known vector"
            )
        known: np.ndarray = np.any(vectors, axis=1)
        if not known.any():
            raise DataError(f"every item's vector is 0: {self!r} has nothing to compare")
        vectors = vectors.astype(np.float32)
        if self.center and known.sum() > 1:
            vectors = np.where(known[:, None], vectors - vectors[known].mean(axis=0), 0.0)
        self.vectors_ = _unit_rows(vectors)

    def _vectors(self, items: pd.DataFrame, progress: bool) -> np.ndarray:
        """Return ``(n_items, d)`` vectors in the order of the rows of ``items``."""
        if self.column not in items:
            raise DataError(
                f"the table of items has no column {self.column!r} of vectors; it has "
                f"{list(items.columns)}. Add it: items.assign({self.column}=list(matrix))"
            )
        rows = [np.asarray(row, dtype=np.float64).reshape(-1) for row in items[self.column]]
        lengths = {len(row) for row in rows}
        if len(lengths) != 1 or lengths == {0}:
            raise DataError(
                f"the vectors in {self.column!r} must be of one length, got lengths "
                f"{sorted(lengths)[:5]}; give zeros for an item without a known vector"
            )
        return np.stack(rows)

    def _score(self, histories: Histories) -> np.ndarray:
        weights, vectors = recency_weights(histories, self.decay), self.vectors_.astype(np.float64)
        profiles = _unit_rows(histories.matrix(weights) @ vectors)
        return np.round(profiles @ vectors.T, DECIMALS)

    def _similarity(self, index: int) -> np.ndarray:
        return np.round(self.vectors_.astype(np.float64) @ self.vectors_[index], DECIMALS)


class TextVectors(ItemVectors):
    """``ItemVectors`` with text embeddings of the items, computed by a language model.

    Args:
        encoder: name of a model, as in ``language.hub.find_model``, or a function from a list of
            texts to ``(n, d)`` vectors. A saved model keeps only the name of a function: it can
            score after loading, but not be fitted again.
        columns: text columns of the items table; columns that the table lacks are skipped.
        pooling: pooling of the states, see ``TextEncoder.encode``; not used with a function.
        center: see ``ItemVectors``.
        decay: see ``ItemVectors``.
        max_length: maximum number of tokens of a text; None is the limit of the model.
        device: ``cpu``, ``cuda``, ...; None selects the best available device.
    """

    def __init__(
        self,
        encoder: str | Path | Callable[[list[str]], np.ndarray] = "all-MiniLM-L6-v2",
        columns: Sequence[str] = ("title", "description", "tags"),
        pooling: Pooling = "mean",
        center: bool = True,
        decay: float = 1.0,
        max_length: int | None = None,
        device: str | None = None,
    ) -> None:
        if isinstance(columns, str):
            raise ValueError(f"columns must be a list of names, got the one string {columns!r}")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
        super().__init__(center=center, decay=decay)
        self.encoder = encoder
        self.columns = tuple(columns)
        self.pooling = pooling
        self.max_length = max_length
        self.device = device

    def _vectors(self, items: pd.DataFrame, progress: bool) -> np.ndarray:
        texts = [text.strip() for text in item_texts(items, self.columns)]
        if not any(texts):
            raise DataError(f"no text in the columns {list(self.columns)} of any item")
        if callable(self.encoder):
            return np.asarray(self.encoder(texts))
        encoder = TextEncoder(self.encoder, max_length=self.max_length, device=self.device)
        return encoder.encode(texts, self.pooling, progress=progress)

    def _settings(self) -> dict[str, Any]:
        name = getattr(self.encoder, "__name__", str(self.encoder))
        return self.get_params(deep=False) | {"encoder": name}


def _unit_rows(matrix: np.ndarray) -> np.ndarray:
    """Divide each row by its Euclidean norm; rows of zeros stay zero."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(norms > 0, norms, 1.0)
