"""Input of DIN: integer codes of items, users and events, and batches of impressions.

In every vocabulary, code 0 stands for values that do not occur in the training rows. A new item
still has the codes of its category, creator and tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch

from m6rec_lite.ctr.din_network import GAPS, Batch, Sizes
from m6rec_lite.ctr.event_log import histories_before, indices_of
from m6rec_lite.ctr.impressions import known_at
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import positions_in_rows, ranges
from m6rec_lite.data.tables import EVENTS, Dataset
from m6rec_lite.recommenders.predictors import Predictor
from m6rec_lite.training import Epoch, rng

PRICE_STEPS = 10  #: number of quantile bins of the price

#: Fields of the items beside their tags; the table may lack all but the first.
ITEM_FIELDS: tuple[str, ...] = ("item_id", "domain", "category", "creator", "price")


class Rows:
    """Impressions as arrays, and their batches for ``training.fit``.

    Args:
        histories: ``n`` rows, the events of each user before the impression.
        values: ``(total,)`` ratings of the events.
        arrays: ``candidate`` (n,), ``profile`` (n, n_profile), ``numbers`` (n, n_numbers) and,
            for training, ``labels`` (n,).
        batch_size: rows per batch.
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
        """Return the batches of an epoch: all rows in a new random order."""
        order, size = rng(seed, epoch).permutation(len(self)), self.batch_size
        n = -(-len(self) // size)
        return Epoch(n, lambda i: self.batch(order[i * size : (i + 1) * size]))

    def batch(self, rows: np.ndarray) -> Batch:
        """Return a batch of the given row indices; see ``din_network.Batch``."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        events = ranges(self.offsets[rows], lengths)
        batch = {key: array[rows] for key, array in self.arrays.items()}
        batch |= {"items": self.items[events], "kinds": self.kinds[events]}
        batch["gaps"] = self.gaps[events]
        batch["lengths"] = lengths
        return {key: torch.from_numpy(array) for key, array in batch.items()}


@dataclass(frozen=True, eq=False)
class _Features:
    """Features of ``n`` impressions before encoding."""

    candidates: np.ndarray  # (n,) item indices
    histories: Histories
    values: np.ndarray  # (total,) ratings of the histories' events
    profile: pd.DataFrame  # n rows, features of user and context
    numbers: np.ndarray  # (n, n_numbers)


class DINInput(Predictor):
    """Vocabularies of the features, and the encoding of impressions with them.

    Args:
        max_length: maximum number of latest events to read.
        use_tags: use the tags of the items.
        statistics: groups of ``known_at`` whose numeric columns are used too.

    Attributes:
        values_: the sorted values of each item field; value i has the code i + 1.
        profile_: the same for the features of user and context.
        occurrences_: for each item field, ``(n_values + 1,)`` number of occurrences of each code
            among the candidates and events of the training rows.
    """

    fit_call: ClassVar[str] = "fit(impressions, dataset)"

    def __init__(
        self, max_length: int = 10, use_tags: bool = True, statistics: Sequence[str] = ()
    ) -> None:
        self.max_length, self.use_tags = max_length, use_tags
        self.statistics = tuple(statistics)

    def fit(self, impressions: pd.DataFrame, dataset: Dataset) -> Self:
        """Collect the vocabularies from the candidates and events of the impressions."""
        self._learn(self._features(impressions, dataset), dataset)
        return self

    def fit_rows(
        self, impressions: pd.DataFrame, dataset: Dataset, labels: np.ndarray, batch_size: int
    ) -> Rows:
        """Run ``fit`` and return the rows of the same impressions, with labels."""
        features = self._features(impressions, dataset)
        self._learn(features, dataset)
        return self._encode(features, labels, batch_size)

    def _learn(self, features: _Features, dataset: Dataset) -> None:
        items = _by_id(dataset)
        counts = np.bincount(features.candidates, minlength=len(items))
        counts += np.bincount(features.histories.items, minlength=len(items))
        known = items[counts > 0]
        prices = known["price"].dropna().to_numpy(np.float64)
        inner = np.arange(1, PRICE_STEPS) / PRICE_STEPS
        self.price_edges_ = np.unique(np.quantile(prices, inner)) if len(prices) else np.zeros(0)
        self.values_ = {name: _values(known[name]) for name in ITEM_FIELDS[:-1] if name in known}
        self.tags_ = _values(known["tags"].explode()) if self.use_tags else _values(pd.Series([]))
        self.profile_ = {str(name): _values(column) for name, column in features.profile.items()}
        self.means_, deviations = features.numbers.mean(axis=0), features.numbers.std(axis=0)
        self.deviations_ = np.where(deviations > 1e-12, deviations, 1.0)
        codes, _ = self.catalogue(dataset)
        self.occurrences_ = [
            np.bincount(column, weights=counts, minlength=size).astype(np.float32)
            for column, size in zip(codes.numpy().T, self.sizes(1, 1).fields, strict=True)
        ]

    def sizes(self, id_width: int, field_width: int, log_odds: float = 0.0) -> Sizes:
        """Return the sizes of the vocabularies and the embeddings."""
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
        """Return the ``(n_items, n_fields)`` and ``(n_items, most_tags)`` codes of the items."""
        items = _by_id(dataset)
        codes = [_codes(items[name], values) for name, values in self.values_.items()]
        price = items["price"].to_numpy(np.float64, na_value=np.nan)
        step = np.searchsorted(self.price_edges_, np.nan_to_num(price), side="right") + 1
        codes.append(np.where(np.isnan(price), 0, step))
        tags = items["tags"].map(lambda cell: cell if isinstance(cell, (list, tuple)) else [])
        long = tags.explode().dropna()
        code = _codes(long, self.tags_)
        row, code = long.index.to_numpy()[code > 0], code[code > 0]
        counts = np.bincount(row, minlength=len(items))
        table = np.zeros((len(items), max(int(counts.max(initial=0)), 1)), dtype=np.int64)
        table[row, positions_in_rows(counts)] = code
        return torch.from_numpy(np.stack(codes, axis=1)), torch.from_numpy(table)

    def rows(self, impressions: pd.DataFrame, dataset: Dataset) -> Rows:
        """Encode impressions for prediction, without labels."""
        return self._encode(self._features(impressions, dataset))

    def _features(self, impressions: pd.DataFrame, dataset: Dataset) -> _Features:
        ids = _by_id(dataset)["item_id"].to_numpy()
        candidates = indices_of(ids, impressions["item_id"].to_numpy(), "item")
        log = Interactions.from_frame(dataset.interactions, item_ids=ids)
        users, at = impressions["user_id"].to_numpy(), impressions["timestamp"].to_numpy()
        histories, values = histories_before(log, users, at, latest=self.max_length)
        profile = known_at(impressions, dataset, groups=("user", "context"))
        numbers = np.zeros((len(impressions), 0))
        if self.statistics:
            table = known_at(impressions, dataset, groups=self.statistics)
            numbers = table.select_dtypes("number").to_numpy(np.float64)
        return _Features(candidates, histories, values, profile, numbers)

    def _encode(
        self, features: _Features, labels: np.ndarray | None = None, batch_size: int = 4096
    ) -> Rows:
        profile = np.zeros((len(features.candidates), len(self.profile_)), dtype=np.int64)
        for column, (name, values) in enumerate(self.profile_.items()):
            profile[:, column] = _codes(features.profile[name], values)
        numbers = ((features.numbers - self.means_) / self.deviations_).astype(np.float32)
        arrays = {"candidate": features.candidates, "profile": profile, "numbers": numbers}
        if labels is not None:
            arrays["labels"] = labels.astype(np.float32)
        return Rows(features.histories, features.values, arrays, batch_size)

    def _state(self) -> dict[str, Any]:
        state = {k: v for k, v in super()._state().items() if isinstance(v, np.ndarray)}
        state |= {f"values/{name}": values for name, values in self.values_.items()}
        state |= {f"profile/{name}": values for name, values in self.profile_.items()}
        return state | {f"occurrences/{i}": n for i, n in enumerate(self.occurrences_)}

    def _restore(self, state: dict[str, Any]) -> None:
        tables: dict[str, dict[str, np.ndarray]] = {"values": {}, "profile": {}, "occurrences": {}}
        for key, value in state.items():
            table, _, name = key.partition("/")
            if name:
                tables[table][name] = value
            else:
                setattr(self, key, value)
        values, counts = tables["values"], tables["occurrences"]
        self.values_ = {name: values[name] for name in ITEM_FIELDS if name in values}
        self.profile_ = tables["profile"]
        self.occurrences_ = [counts[str(i)] for i in range(len(counts))]


def _by_id(dataset: Dataset) -> pd.DataFrame:
    """Return the items table by ascending id, with row numbers as index."""
    return dataset.items.sort_values("item_id").reset_index(drop=True)


def _values(column: pd.Series) -> np.ndarray:
    """Return the sorted distinct values of a column as text, without missing values."""
    return np.unique(column.dropna().astype(str).to_numpy(dtype=np.str_))


def _codes(column: pd.Series, values: np.ndarray) -> np.ndarray:
    """Return ``(n,)`` int64 codes: 1 + the index in ``values``, 0 for missing or other values."""
    cells = column.astype(object).where(column.notna(), None)
    texts = pd.Index([None if cell is None else str(cell) for cell in cells], dtype=object)
    return pd.Index(values, dtype=object).get_indexer(texts).astype(np.int64) + 1
