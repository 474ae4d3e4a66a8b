"""Click models: predict the probability that a shown item is clicked (or, once clicked, bought).

All models have the same interface: ``fit(impressions, dataset)`` and ``predict(impressions,
dataset)``, where ``dataset`` has the log of events from which the features of each impression are
computed (``event_log``). This module has the simplest model, a smoothed click rate; ``linear`` has
logistic regression and a factorization machine, ``din`` a network that reads the history.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from m6rec_lite.ctr.event_log import EventLog
from m6rec_lite.ctr.matches import TRUST
from m6rec_lite.data.seeds import check_seed
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.recommenders.params import check_in_range
from m6rec_lite.recommenders.predictors import Predictor


class ClickModel(Predictor):
    """Base of the click models; subclasses implement ``_fit`` and ``_predict``.

    Attributes:
        label: the column to predict, of booleans. ``clicked`` uses all rows; ``purchased`` uses the
            clicked rows only (the conversion rate; the probability that a shown item is bought is
            the product of both predictions).
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
        """Fit the model to impressions and their labels.

        Args:
            impressions: training rows, with the column of the label.
            dataset: the data set of the impressions.
            validation: later impressions for early stopping, used by some models.
            progress: show a progress bar if fitting takes long.

        Returns:
            The model itself.

        Raises:
            DataError: if there are no rows, the label is missing or not boolean, or all rows have
                the same label.
        """
        _check_tables(impressions, dataset, "fit")
        check_seed(getattr(self, "seed", 0))
        rows, labels = labelled(impressions, self.label)
        if labels.min() == labels.max():
            raise DataError(
                f"all {len(rows)} rows have {self.label} = {bool(labels[0])}: there is nothing to "
                "tell apart. Give rows of both kinds"
            )
        validation_rows = None if validation is None else labelled(validation, self.label)
        self._fit(rows, labels, dataset, validation=validation_rows, progress=progress)
        return self

    def predict(self, impressions: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        """Predict the probability of the label for each impression.

        Args:
            impressions: ``n`` rows; the column of the label is not read.
            dataset: the data set of the impressions; may have more rows than in ``fit``.

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
        """Fit to ``n`` rows and their ``(n,)`` labels, 0.0 and 1.0, both of which occur."""

    @abstractmethod
    def _predict(self, rows: pd.DataFrame, dataset: Dataset) -> np.ndarray:
        """Return ``(n,)`` probabilities; n is at least 1."""


def _check_tables(impressions: object, dataset: object, call: str) -> None:
    """Raise ``DataError`` unless the arguments are a DataFrame and a ``Dataset``."""
    if not isinstance(impressions, pd.DataFrame) or not isinstance(dataset, Dataset):
        raise DataError(
            f"{call}(impressions, dataset) wants a DataFrame of impressions and the Dataset that "
            f"they belong to, got {type(impressions).__name__} and {type(dataset).__name__}; pass "
            "dataset.impressions, or a part of it, and dataset"
        )


def labelled(impressions: pd.DataFrame, label: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows that have a label (see ``ClickModel``), and ``(n,)`` labels, 0.0 or 1.0.

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
        invalid = labels[~labels.isin([0, 1])].unique()[:5].tolist()
        raise DataError(f"the label {label!r} must be true or false in every row; got {invalid}")
    return impressions, labels.to_numpy(np.float64)


@dataclass(eq=False)
class MeanRateCTR(ClickModel):
    """Predict the click rate of the item so far, corrected for the positions where it was shown.

    The prediction is ``rate(position) * (clicks + t) / (expected clicks + t)``, where the expected
    clicks of an item are the sum of the click rates of its positions. Source: clicks over expected
    clicks (Zhang and Jones, *Comparing click logs and editorial labels*, 2007). Without a column
    ``position`` all rows have the same position.

    Args:
        trust: t, the number of expected clicks with which an item is smoothed towards the average.
        label: see ``ClickModel``.

    Attributes:
        rates_: ``(n_positions + 1,)`` click rates by position; the last value is the mean.
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
        prior = self._expected(rows)
        items, at = rows["item_id"].to_numpy(), rows["timestamp"].to_numpy()
        if dataset.impressions is None or self.label not in dataset.impressions:
            return prior
        log, labels = labelled(dataset.impressions, self.label)
        keys, timestamps = log["item_id"].to_numpy(), log["timestamp"].to_numpy()
        clicks = EventLog(keys, timestamps, labels).total(items, at)
        expected = EventLog(keys, timestamps, self._expected(log)).total(items, at)
        lift = (clicks + self.trust) / (expected + self.trust)
        return np.minimum(prior * lift, 1.0)

    def _positions(self, rows: pd.DataFrame) -> np.ndarray:
        return (
            rows["position"].to_numpy(np.int64) if "position" in rows else np.zeros(len(rows), int)
        )

    def _expected(self, rows: pd.DataFrame) -> np.ndarray:
        return self.rates_[np.minimum(self._positions(rows), len(self.rates_) - 1)]
