"""Encoding of a table of features as a sparse matrix for linear and factorization models."""

from __future__ import annotations

from typing import Any, ClassVar, Self, cast

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.factorization_machine import OneHot
from m6rec_lite.recommenders.params import check_whole
from m6rec_lite.recommenders.predictors import Predictor


class Encoder(Predictor):
    """Encode categories as one-hot columns and numbers as z-scores or bins.

    With ``bins``, a numeric column becomes ``bins`` one-hot columns, one for each quantile bin: a
    linear model can then fit a non-linear effect, and a factorization machine its interactions.

    Args:
        bins: number of quantile bins per numeric column; 0 for z-scores.
        least: minimum number of training rows of a category; rarer categories have no column.

    Attributes:
        means_: ``(n_numbers,)`` means.
        deviations_: ``(n_numbers,)`` standard deviations; 1 for a constant column.
        edges_: ``(n_numbers, bins - 1)`` boundaries of the bins.
        kept_: indices of the one-hot columns with at least ``least`` rows.
    """

    fit_call: ClassVar[str] = "fit(table)"

    def __init__(self, bins: int = 0, least: int = 1) -> None:
        if bins and check_whole("bins", bins) < 2:
            raise ValueError("bins must be 0 (z-scores) or at least 2, got 1")
        self.bins = bins
        self.least = check_whole("least", least)

    def fit(self, table: pd.DataFrame) -> Self:
        """Compute the values of the categories, and the means and quantiles of the numbers."""
        columns = cast(list[str], list(table))
        self._numbers = [name for name in columns if table[name].dtype.kind in "fiub"]
        self._categories = [name for name in columns if name not in self._numbers]
        x = table[self._numbers].to_numpy(np.float64)
        self.means_, deviations = x.mean(axis=0), x.std(axis=0)
        self.deviations_ = np.where(deviations > 1e-12, deviations, 1.0)
        shares = np.arange(1, max(self.bins, 1)) / max(self.bins, 1)
        self.edges_ = np.quantile(x, shares, axis=0).T if x.shape[1] else np.zeros((0, len(shares)))
        self._one_hot = OneHot(self._categories).fit(table) if self._categories else None
        self.kept_ = np.zeros(0, dtype=np.int64)
        if self._one_hot is not None:
            counts = np.diff((self._one_hot.transform(table) != 0).tocsc().indptr)
            self.kept_ = np.flatnonzero(counts >= self.least)
        return self

    @property
    def names(self) -> list[str]:
        """Names of the features, such as ``weather=snow`` or ``tags_last``."""
        self._require_fitted()
        numbers = self._numbers
        if self.bins:
            numbers = [f"{name} in bin {i}" for name in numbers for i in range(self.bins)]
        names = self._one_hot.names if self._one_hot is not None else []
        return [*numbers, *(names[i] for i in self.kept_)]

    def transform(self, table: pd.DataFrame) -> sparse.csr_array:
        """Return ``(rows, n_features)`` float64; categories unknown to ``fit`` have no column.

        Raises:
            DataError: if a column is missing.
        """
        self._require_fitted()
        if missing := [name for name in self._numbers if name not in table]:
            raise DataError(
                f"the features {missing} were there in fit and are missing now; does the data set "
                "lack a table (impressions, weather) or kind of event (rate) that it had then?"
            )
        x = table[self._numbers].to_numpy(np.float64)
        if self.bins:
            n, m = x.shape
            columns = np.empty((n, m), dtype=np.int64)
            for j, edges in enumerate(self.edges_):
                columns[:, j] = np.searchsorted(edges, x[:, j], side="right") + j * self.bins
            indptr = np.arange(0, n * m + 1, max(m, 1)) if m else np.zeros(n + 1, dtype=np.int64)
            ones = np.ones(n * m)
            part = sparse.csr_array((ones, columns.ravel(), indptr), shape=(n, m * self.bins))
        else:
            part = sparse.csr_array((x - self.means_) / self.deviations_)
        if self._one_hot is None:
            return part
        return sparse.hstack([part, self._one_hot.transform(table)[:, self.kept_]]).tocsr()

    def _state(self) -> dict[str, Any]:
        names = {"numbers": self._numbers, "categories": self._categories}
        state = super()._state() | {k: np.array(v, dtype=np.str_) for k, v in names.items()}
        inner = self._one_hot._state() if self._one_hot is not None else {}
        return state | {f"one_hot/{key}": value for key, value in inner.items()}

    def _restore(self, state: dict[str, Any]) -> None:
        self._numbers, self._categories = (state.pop(k).tolist() for k in ("numbers", "categories"))
        inner = {
            k.removeprefix("one_hot/"): v for k, v in state.items() if k.startswith("one_hot/")
        }
        self._one_hot = OneHot(self._categories) if self._categories else None
        if self._one_hot is not None:
            self._one_hot._restore(inner)
        super()._restore({k: v for k, v in state.items() if not k.startswith("one_hot/")})
