"""What DIN reads: items, users and events as whole numbers, and batches of impressions.

A value that training rows did not show has the number 0, "unknown", in every vocabulary: a new
item still has its category, its creator and its tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch

from m6rec_lite.ctr.din_network import GAPS, Batch, Sizes
from m6rec_lite.ctr.event_log import histories_before, places
from m6rec_lite.ctr.impressions import known_at
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import positions_in_rows, ranges
from m6rec_lite.data.tables import EVENTS, Dataset
from m6rec_lite.recommenders.predictors import Predictor
from m6rec_lite.training import Epoch, rng

PRICE_STEPS = 10  #: quantiles that a price is told by

#: What items are told by, beside their tags; the table may lack all but the first.
ITEM_FIELDS: tuple[str, ...] = ("item_id", "domain", "category", "creator", "price")


class Rows:
    """Impressions as arrays, and their batches; a source of batches for ``training.fit``.

    Args:
        histories: ``n`` rows, what each user had done before the impression.
        values: ``(total,)`` ratings of those events.
        arrays: ``candidate`` (n,), ``profile`` (n, n_profile), ``numbers`` (n, n_numbers) and,
            to learn from, ``labels`` (n,).
        batch_size: rows a batch.
    """

    def __init__(
        self,
        histories: Histories,
        values: np.ndarray,
        arrays: dict[str, np.ndarray],
        batch_size: int,
    ) -> None:
        self.offsets, self.arrays, self.batch_size = histories.offsets, arrays, batch_size
        seconds = np.repeat(histories.at, histories.lengths) - histories.timestamps
        stars = np.clip(np.rint(2 * values), 0, 10).astype(np.int64)
        rated = histories.events == EVENTS.index("rate")
        self.items = histories.items.astype(np.int64)
        self.gaps = np.searchsorted(GAPS, seconds)
        self.kinds = np.where(rated, len(EVENTS) + stars, histories.events.astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def epoch(self, seed: int, epoch: int) -> Epoch[Batch]:
        """All rows in a new random order, ``batch_size`` of them at a time."""
        order, size = rng(seed, epoch).permutation(len(self)), self.batch_size
        n = -(-len(self) // size)
        return Epoch(n, lambda i: self.batch(order[i * size : (i + 1) * size]))

    def batch(self, rows: np.ndarray) -> Batch:
        """The given rows as ``din.Batch``."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        take = ranges(self.offsets[rows], lengths)
        batch = {key: array[rows] for key, array in self.arrays.items()}
        batch |= {"items": self.items[take], "kinds": self.kinds[take], "gaps": self.gaps[take]}
        batch["lengths"] = lengths
        return {key: torch.from_numpy(array) for key, array in batch.items()}


@dataclass(frozen=True, eq=False)
class _Told:
    """What is known of ``n`` impressions, in words: see ``DINInput``."""

    candidates: np.ndarray  # (n,) places in the catalogue
    histories: Histories
    values: np.ndarray  # (total,) ratings of the histories' events
    profile: pd.DataFrame  # n rows, user and moment
    numbers: np.ndarray  # (n, n_numbers)


class DINInput(Predictor):
    """Vocabularies of items, users and moments, and impressions told in their numbers.

    Args:
        max_length: the latest events that are read.
        use_tags: whether items tell their tags.
        statistics: groups of ``known_at`` whose numbers are read too.

    Attributes:
        values_: for each item field and profile column, its values in order; value i has number
            i + 1.
        occurrences_: for each item field, ``(n_values + 1,)`` how often each number occurs among
            the training rows' candidates and events.
    """

    fit_call: ClassVar[str] = "fit(impressions, dataset)"

    def __init__(
        self, max_length: int = 10, use_tags: bool = True, statistics: Sequence[str] = ()
    ) -> None:
        self.max_length, self.use_tags = max_length, use_tags
        self.statistics = tuple(statistics)

    def fit(self, impressions: pd.DataFrame, dataset: Dataset) -> Self:
        """Learn the vocabularies from what the training impressions show, and no other item."""
        self._learn(self._told(impressions, dataset), dataset)
        return self

    def fit_rows(
        self, impressions: pd.DataFrame, dataset: Dataset, labels: np.ndarray, batch_size: int
    ) -> Rows:
        """``fit`` and ``rows`` of the same impressions, which are looked up once."""
        told = self._told(impressions, dataset)
        self._learn(told, dataset)
        return self._in_numbers(told, labels, batch_size)

    def _learn(self, told: _Told, dataset: Dataset) -> None:
        items = _by_id(dataset)
        shown = np.bincount(told.candidates, minlength=len(items))
        shown += np.bincount(told.histories.items, minlength=len(items))
        known = items[shown > 0]
        prices = known["price"].dropna().to_numpy(np.float64)
        inner = np.arange(1, PRICE_STEPS) / PRICE_STEPS
        self.price_edges_ = np.unique(np.quantile(prices, inner)) if len(prices) else np.zeros(0)
        self.values_ = {name: _values(known[name]) for name in ITEM_FIELDS[:-1] if name in known}
        self.tags_ = _values(known["tags"].explode()) if self.use_tags else _values(pd.Series([]))
        self.profile_ = {name: _values(told.profile[name]) for name in told.profile}
        self.means_, deviations = told.numbers.mean(axis=0), told.numbers.std(axis=0)
        self.deviations_ = np.where(deviations > 1e-12, deviations, 1.0)
        codes, _ = self.catalogue(dataset)
        self.occurrences_ = [
            np.bincount(column, weights=shown, minlength=size).astype(np.float32)
            for column, size in zip(codes.numpy().T, self.sizes(1, 1).fields, strict=True)
        ]

    def sizes(self, id_width: int, field_width: int, log_odds: float = 0.0) -> Sizes:
        """What the network must be made for."""
        self._require_fitted()
        fields = [len(values) + 1 for values in self.values_.values()]
        return Sizes(
            fields=(*fields, len(self.price_edges_) + 2),
            tags=len(self.tags_),
            profile=tuple(len(values) + 1 for values in self.profile_.values()),
            numbers=len(self.means_),
            id_width=id_width,
            field_width=field_width,
            log_odds=log_odds,
        )

    def catalogue(self, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
        """``(n_items, n_fields)`` and ``(n_items, most_tags)`` numbers, items by ascending id."""
        items = _by_id(dataset)
        codes = [_numbers_of(items[name], values) for name, values in self.values_.items()]
        price = items["price"].to_numpy(np.float64, na_value=np.nan)
        step = np.searchsorted(self.price_edges_, np.nan_to_num(price), side="right") + 1
        codes.append(np.where(np.isnan(price), 0, step))
        tags = items["tags"].map(lambda cell: cell if isinstance(cell, (list, tuple)) else [])
        long = tags.explode().dropna()
        number = _numbers_of(long, self.tags_)
        row, number = long.index.to_numpy()[number > 0], number[number > 0]
        counts = np.bincount(row, minlength=len(items))
        table = np.zeros((len(items), max(int(counts.max(initial=0)), 1)), dtype=np.int64)
        table[row, positions_in_rows(counts)] = number
        return torch.from_numpy(np.stack(codes, axis=1)), torch.from_numpy(table)

    def rows(self, impressions: pd.DataFrame, dataset: Dataset) -> Rows:
        """Impressions in numbers, to be asked about."""
        return self._in_numbers(self._told(impressions, dataset))

    def _told(self, impressions: pd.DataFrame, dataset: Dataset) -> _Told:
        ids = _by_id(dataset)["item_id"].to_numpy()
        candidates = places(ids, impressions["item_id"].to_numpy(), "item")
        log = Interactions.from_frame(dataset.interactions, item_ids=ids)
        users, at = impressions["user_id"].to_numpy(), impressions["timestamp"].to_numpy()
        histories, values = histories_before(log, users, at, latest=self.max_length)
        profile = known_at(impressions, dataset, groups=("user", "context"))
        numbers = np.zeros((len(impressions), 0))
        if self.statistics:
            table = known_at(impressions, dataset, groups=self.statistics)
            numbers = table.select_dtypes("number").to_numpy(np.float64)
        return _Told(candidates, histories, values, profile, numbers)

    def _in_numbers(
        self, told: _Told, labels: np.ndarray | None = None, batch_size: int = 4096
    ) -> Rows:
        profile = np.zeros((len(told.candidates), len(self.profile_)), dtype=np.int64)
        for column, (name, values) in enumerate(self.profile_.items()):
            profile[:, column] = _numbers_of(told.profile[name], values)
        numbers = ((told.numbers - self.means_) / self.deviations_).astype(np.float32)
        arrays = {"candidate": told.candidates, "profile": profile, "numbers": numbers}
        if labels is not None:
            arrays["labels"] = labels.astype(np.float32)
        return Rows(told.histories, told.values, arrays, batch_size)

    def _state(self) -> dict[str, Any]:
        state = {k: v for k, v in super()._state().items() if isinstance(v, np.ndarray)}
        state |= {f"values/{name}": values for name, values in self.values_.items()}
        state |= {f"profile/{name}": values for name, values in self.profile_.items()}
        return state | {f"occurrences/{i}": n for i, n in enumerate(self.occurrences_)}

    def _restore(self, state: dict[str, Any]) -> None:
        self.values_, self.profile_, counts = {}, {}, {}
        homes = {"values": self.values_, "profile": self.profile_, "occurrences": counts}
        for key, value in state.items():
            home, _, name = key.partition("/")
            if name:
                homes[home][name] = value
            else:
                setattr(self, key, value)
        self.values_ = {n: self.values_[n] for n in ITEM_FIELDS if n in self.values_}
        self.occurrences_ = [counts[str(i)] for i in range(len(counts))]


def _by_id(dataset: Dataset) -> pd.DataFrame:
    return dataset.items.sort_values("item_id").reset_index(drop=True)


def _values(column: pd.Series) -> np.ndarray:
    """The different values of a column as text, in order; missing ones left out."""
    return np.unique(column.dropna().astype(str).to_numpy(dtype=np.str_))


def _numbers_of(column: pd.Series, values: np.ndarray) -> np.ndarray:
    """``(n,)`` int64: 1 + the place of each value; 0 where it is missing or not among them."""
    texts = column.astype(object).where(column.notna(), None)
    return (
        pd.Index(values, dtype=object)
        .get_indexer(
            pd.Index([None if text is None else str(text) for text in texts], dtype=object)
        )
        .astype(np.int64)
        + 1
    )
