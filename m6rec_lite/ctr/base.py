"""Click-through models: the chance that a shown item is clicked (or, once clicked, bought).

All share one interface: ``fit(impressions, dataset)`` learns from rows of an impressions table,
``predict(impressions, dataset)`` gives a chance for each row; ``dataset`` is the log from which
both read what was known at each row's moment (``past``). Here stands the simplest, a smoothed
click rate; ``ctr_features`` has logistic regression and a factorization machine, ``din`` a network
that reads the history itself.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from m6rec_lite.ctr.event_log import EventLog
from m6rec_lite.ctr.matches import TRUST
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.recommenders.params import check_in_range
from m6rec_lite.recommenders.predictors import Predictor


class ClickModel(Predictor):
    """Base of the click models; subclasses write ``_fit`` and ``_predict``.

    Attributes:
        label: the column that is predicted. ``clicked``: over all rows. ``purchased``: over clicked
            rows, since nothing else can be bought (the conversion rate; the chance that a shown
            item is bought is the product of the two). Any other column of booleans works too.
    """

    fit_call: ClassVar[str] = "fit(impressions, dataset)"

    label: str = "clicked"

    def fit(
        self,
        impressions: pd.DataFrame,
        dataset: Dataset,
        *,
        validation: pd.DataFrame | None = None,
        progress: bool = True,
    ) -> Self:
        """Learn from impressions and what came of them.

        Args:
            impressions: rows to learn from, with the label's column.
            dataset: the log they belong to.
            validation: later impressions to stop on, for the models that do.
            progress: show a bar where fitting takes long.

        Raises:
            DataError: if there are no rows, the label is missing or no boolean, or all rows have
                the same label.
        """
        _check_tables(impressions, dataset, "fit")
        rows, labels = labelled(impressions, self.label)
        if labels.min() == labels.max():
            raise DataError(
                f"all {len(rows)} rows have {self.label} = {bool(labels[0])}: there is nothing to "
                "tell apart. Give rows of both kinds"
            )
        asked = None if validation is None else labelled(validation, self.label)
        self._fit(rows, labels, dataset, validation=asked, progress=progress)
        return self

    def predict(self, impressions: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        """The chance of the label for each impression.

        Args:
            impressions: ``n`` rows; the label's column is not read.
            dataset: the log; it may have gone on since ``fit``.

        Returns:
            ``(n,)`` float64 in [0, 1].

        Raises:
            NotFittedError: before ``fit``.
            DataError: on an unknown user or item.
        """
        self._require_fitted()
        _check_tables(impressions, dataset, "predict")
        if not len(impressions):
            return np.zeros(0)
        return self._predict(impressions, dataset)

    @abstractmethod
    def _fit(self, rows: pd.DataFrame, labels: np.ndarray, dataset: Dataset, **extras: Any) -> None:
        """Learn from ``n`` rows and their ``(n,)`` labels, 0.0 and 1.0, both of which occur."""

    @abstractmethod
    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        """``(n,)`` chances; n is at least 1."""


def _check_tables(impressions: object, dataset: object, call: str) -> None:
    """Raise ``DataError`` unless the two are a DataFrame and a data set."""
    if not isinstance(impressions, pd.DataFrame) or not isinstance(dataset, Dataset):
        raise DataError(
            f"{call}(impressions, dataset) wants a DataFrame of impressions and the Dataset that "
            f"they belong to, got {type(impressions).__name__} and {type(dataset).__name__}; pass "
            "dataset.impressions, or a part of it, and dataset"
        )


def labelled(impressions: pd.DataFrame, label: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows that have a label (for ``purchased`` the clicked ones), and ``(n,)`` 0.0 or 1.0.

    Raises:
        DataError: if there are no rows, or the column is missing or not of booleans.
    """
    if label not in impressions:
        raise DataError(f"no column {label!r} to learn from among {list(impressions.columns)}")
    if label == "purchased" and "clicked" in impressions:
        impressions = impressions[impressions["clicked"]]
    if not len(impressions):
        raise DataError(f"there are no rows with a label {label!r} to learn from")
    labels = impressions[label]
    if not labels.isin([0, 1]).all():
        odd = labels[~labels.isin([0, 1])].unique()[:5].tolist()
        raise DataError(f"the label {label!r} must be true or false in every row; got {odd}")
    return impressions, labels.to_numpy(np.float64)


@dataclass(eq=False)
class MeanRateCTR(ClickModel):
    """The item's click rate so far, measured against what its positions would have earned anyway.

    ``rate(position) * (clicks + t) / (expected clicks + t)``, where the clicks expected of an item
    are the sum of its positions' rates: a page's top would make anything popular. Known as clicks
    over expected clicks (Zhang and Jones, *Comparing click logs and editorial labels*, 2007).
    Without a ``position`` column every row counts alike.

    Args:
        trust: t, the expected clicks by which an item is drawn towards the average.
        label: see ``ClickModel``.

    Attributes:
        rates_: ``(n_positions,)`` click rates by position, the mean in the last place.
    """

    trust: float = 5.0
    label: str = "clicked"

    def __post_init__(self) -> None:
        check_in_range("trust", self.trust, 0, open_low=True)

    def _fit(self, rows: pd.DataFrame, labels: np.ndarray, dataset: Dataset, **extras: Any) -> None:
        position = self._positions(rows)
        shown, clicked = np.bincount(position), np.bincount(position, weights=labels)
        mean = labels.mean()
        self.rates_ = np.append((clicked + TRUST * mean) / (shown + TRUST), mean)

    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        expected_here = self._expected(rows)
        items, at = rows["item_id"].to_numpy(), rows["timestamp"].to_numpy()
        if dataset.impressions is None or self.label not in dataset.impressions:
            return expected_here
        log, labels = labelled(dataset.impressions, self.label)
        keys, moments = log["item_id"].to_numpy(), log["timestamp"].to_numpy()
        clicks = EventLog(keys, moments, labels).total(items, at)
        expected = EventLog(keys, moments, self._expected(log)).total(items, at)
        lift = (clicks + self.trust) / (expected + self.trust)
        return np.minimum(expected_here * lift, 1.0)

    def _positions(self, rows: pd.DataFrame) -> np.ndarray:
        return (
            rows["position"].to_numpy(np.int64) if "position" in rows else np.zeros(len(rows), int)
        )

    def _expected(self, rows: pd.DataFrame) -> np.ndarray:
        return self.rates_[np.minimum(self._positions(rows), len(self.rates_) - 1)]
