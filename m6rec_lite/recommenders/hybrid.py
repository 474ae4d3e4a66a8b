"""Hybrids: several recommenders answer, and their answers are fused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.stats import rankdata

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import Recommender, find_kind
from m6rec_lite.recommenders.params import check_in_range


class Hybrid(Recommender):
    """Fuses the scores of other recommenders, by value or by rank.

    * ``fusion="sum"``: each part's scores are brought to mean 0 and deviation 1 over the catalogue,
      row by row, and added with the weights. Values keep how sure a part is.
    * ``fusion="product"``: each part's scores are brought to [0, 1] and multiplied, raised to the
      weights: an item must suit every part.
    * ``fusion="rank"``: reciprocal rank fusion, ``sum of w / (rank_constant + rank)``, which needs
      no common scale (Cormack, Clarke and Buettcher, 2009).

    For the first two see Burke, *Hybrid recommender systems*, 2002. A part's ``-inf`` stays.

    Args:
        recommenders: the parts. Those already fitted are taken as they are; the others are fitted
            when the hybrid is.
        weights: one a part; equal when None.
        fusion: ``"sum"``, ``"product"`` or ``"rank"``.
        rank_constant: of the rank fusion; larger lets low ranks count for more.
    """

    falls_back: ClassVar[bool] = False  # the parts fall back themselves

    def __init__(
        self,
        recommenders: Sequence[Recommender],
        weights: Sequence[float] | None = None,
        fusion: Literal["sum", "product", "rank"] = "sum",
        rank_constant: float = 60.0,
    ) -> None:
        self.recommenders = recommenders
        if not len(recommenders) or not all(isinstance(r, Recommender) for r in recommenders):
            raise ValueError(f"recommenders must be a list of recommenders, got {recommenders!r}")
        if weights is not None:
            if len(weights) != len(recommenders):
                raise ValueError(
                    f"{len(weights)} weights for {len(recommenders)} parts: give each one"
                )
            for weight in weights:
                check_in_range("each weight", weight, 0)
            if not any(weights):
                raise ValueError("all weights are 0: give at least one part a say")
        if fusion not in ("sum", "product", "rank"):
            raise ValueError(f"fusion must be 'sum', 'product' or 'rank', got {fusion!r}")
        check_in_range("rank_constant", rank_constant, 0)
        self.weights = weights
        self.fusion = fusion
        self.rank_constant = rank_constant
        self._given = [part.is_fitted for part in self.recommenders]

    @property
    def variant(self) -> str:
        """The parts, and the settings that differ from the defaults."""
        parts = "+".join(
            f"{p.name}({p.variant})" if p.variant else p.name for p in self.recommenders
        )
        weights = None if self.weights is None else list(map(float, self.weights))
        rest = {"weights": weights, "fusion": self.fusion, "rank_constant": self.rank_constant}
        usual = {"weights": None, "fusion": "sum", "rank_constant": 60.0}
        return " ".join([parts, *(f"{k}={v}" for k, v in rest.items() if v != usual[k])])

    def _fit(self, train: Interactions, **extras: Any) -> None:
        for part, given in zip(self.recommenders, self._given, strict=True):
            if not given:
                part.fit(train, **extras)
            elif not np.array_equal(part.item_ids, train.item_ids):
                raise DataError(
                    f"{part!r} was fitted on another catalogue ({len(part.item_ids)} items, train "
                    f"has {train.n_items}); hand it over unfitted, or fit it on this train"
                )

    def _score(self, histories: Histories) -> np.ndarray:
        weights = [1.0] * len(self.recommenders) if self.weights is None else self.weights
        fused = np.zeros((len(histories), histories.n_items))
        for part, weight in zip(self.recommenders, weights, strict=True):
            if weight > 0:
                scores = part.score(histories).astype(np.float64)
                fused += np.where(np.isneginf(scores), -np.inf, weight * self._scaled(scores))
        return fused

    def _scaled(self, scores: np.ndarray) -> np.ndarray:
        """One part's ``(n, n_items)`` scores on the scale on which parts are added."""
        if self.fusion == "rank":
            return 1.0 / (self.rank_constant + rankdata(-scores, method="average", axis=1))
        finite = np.ma.masked_invalid(scores)
        if self.fusion == "product":
            low, high = finite.min(axis=1, keepdims=True), finite.max(axis=1, keepdims=True)
            unit = (finite - low) / np.ma.maximum(high - low, 1e-12)
            return np.log(unit.filled(1.0) + 1e-6)  # a sum of logarithms ranks as the product does
        spread = np.ma.maximum(finite.std(axis=1, keepdims=True), 1e-12)
        return ((finite - finite.mean(axis=1, keepdims=True)) / spread).filled(0.0)

    def _count_params(self) -> int:
        return sum(part.n_params for part in self.recommenders)

    def _settings(self) -> dict[str, Any]:
        parts = [{"class": p.name, "settings": p._settings()} for p in self.recommenders]
        weights = None if self.weights is None else list(map(float, self.weights))
        return self.get_params(deep=False) | {"recommenders": parts, "weights": weights}

    def _state(self) -> dict[str, Any]:
        state = super()._state()
        for i, part in enumerate(self.recommenders):
            state |= {f"{i}/{key}": value for key, value in part._state().items()}
        return state

    @classmethod
    def _from_saved(cls, settings: dict[str, Any], state: dict[str, Any], path: Path) -> Self:
        parts = []
        for i, part in enumerate(settings["recommenders"]):
            prefix = f"{i}/"
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            kind = find_kind(Recommender, part["class"], path)
            parts.append(kind._from_saved(part["settings"], own, path))
        rest = {key: value for key, value in state.items() if "/" not in key}
        return super()._from_saved(settings | {"recommenders": parts}, rest, path)
