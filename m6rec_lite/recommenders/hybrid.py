"""Hybrid recommenders, which fuse the scores of several recommenders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.stats import rankdata

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_in_range


class Hybrid(Recommender):
    """Fuse the scores of other recommenders, by value or by rank.

    * ``fusion="sum"``: the weighted sum of the scores, standardised in each row to mean 0 and
      standard deviation 1.
    * ``fusion="product"``: the product of the scores, scaled in each row to [0, 1] and raised to
      the power of the weights, so that an item must score well in every part.
    * ``fusion="rank"``: reciprocal rank fusion, ``sum of w / (rank_constant + rank)`` (Cormack,
      Clarke and Buettcher, 2009).

    Source of the first two: Burke, *Hybrid recommender systems*, 2002. An item scored ``-inf`` by
    any part stays ``-inf``.

    Args:
        recommenders: the parts. ``fit`` fits those that are not fitted yet.
        weights: one weight per part; None gives all parts the same weight.
        fusion: ``"sum"``, ``"product"`` or ``"rank"``.
        rank_constant: constant of the rank fusion; a larger value increases the share of low ranks.
    """

    falls_back: ClassVar[bool] = False  # each part has its own fallback

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
                raise ValueError("all weights are 0: give at least one part a positive weight")
        if fusion not in ("sum", "product", "rank"):
            raise ValueError(f"fusion must be 'sum', 'product' or 'rank', got {fusion!r}")
        check_in_range("rank_constant", rank_constant, 0)
        self.weights = weights
        self.fusion = fusion
        self.rank_constant = rank_constant
        self._was_fitted = [part.is_fitted for part in self.recommenders]

    @property
    def variant(self) -> str:
        """The parts, and the arguments that differ from the defaults."""
        parts = "+".join(
            f"{p.name}({p.variant})" if p.variant else p.name for p in self.recommenders
        )
        weights = None if self.weights is None else list(map(float, self.weights))
        options = {"weights": weights, "fusion": self.fusion, "rank_constant": self.rank_constant}
        defaults = {"weights": None, "fusion": "sum", "rank_constant": 60.0}
        return " ".join([parts, *(f"{k}={v}" for k, v in options.items() if v != defaults[k])])

    def _fit(self, train: Interactions, **extras: Any) -> None:
        for part, was_fitted in zip(self.recommenders, self._was_fitted, strict=True):
            if not was_fitted:
                part.fit(train, **extras)
            elif not np.array_equal(part._fitted_item_ids, train.item_ids):
                raise DataError(
                    f"{part!r} was fitted on another catalogue ({len(part._fitted_item_ids)} items,"
                    f" train has {train.n_items}); pass it unfitted, or fit it on this train"
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
        """Scale the ``(n, n_items)`` scores of one part, so that the parts can be added."""
        if self.fusion == "rank":
            return 1.0 / (self.rank_constant + rankdata(-scores, method="average", axis=1))
        finite = np.ma.masked_invalid(scores)
        if self.fusion == "product":
            low, high = finite.min(axis=1, keepdims=True), finite.max(axis=1, keepdims=True)
            unit = (finite - low) / np.ma.maximum(high - low, 1e-12)
            return np.log(
                unit.filled(1.0) + 1e-6
            )  # a sum of logarithms has the ranking of the product
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
            arrays = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            kind = Recommender._find_class(part["class"], path)
            parts.append(kind._from_saved(part["settings"], arrays, path))
        arrays = {key: value for key, value in state.items() if "/" not in key}
        return super()._from_saved(settings | {"recommenders": parts}, arrays, path)
