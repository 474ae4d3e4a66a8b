"""Monitors of a served model: drift of inputs and scores, and a canary that compares two models.

Drift compares distributions and needs no outcomes; it finds a model that scores in another way, not
one that is wrong with usual scores. The canary compares what users did, and finds both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from m6rec_lite.data.ids import Id
from m6rec_lite.data.tables import DataError
from m6rec_lite.feedback.ab_tests import Looks, assign
from m6rec_lite.recommenders.params import check_in_range

#: Added to each count of a bin, so that an empty bin has no infinite logarithm.
SMOOTHING = 0.5


def psi(reference: np.ndarray, sample: np.ndarray, *, bins: int = 10) -> float:
    """Return the population stability index of a sample.

    ``sum_b (p_b - q_b) ln(p_b / q_b)`` over bins that hold equal shares of the reference; the same
    as the Kullback-Leibler divergences in both directions, added.

    Args:
        reference: ``(n,)`` values.
        sample: ``(m,)`` values.
        bins: number of bins; values that repeat often may merge some.

    Raises:
        DataError: if one is empty or holds NaN.
    """
    p, q = (_shares(values, _edges(reference, bins)) for values in _both(reference, sample))
    return float(((p - q) * np.log(p / q)).sum())


def psi_threshold(n: int, m: int, *, bins: int = 10, level: float = 0.999) -> float:
    """Return the PSI that samples of one distribution exceed with probability 1 - level.

    For large samples PSI is ``(1/n + 1/m)`` times a chi-squared variable with ``bins - 1`` degrees
    of freedom. The usual rule "above 0.25" ignores n and m.
    """
    return float(stats.chi2.ppf(level, max(1, bins - 1)) * (1 / n + 1 / m))


def ks_drift(reference: np.ndarray, sample: np.ndarray) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance of two samples, and its p-value.

    The distance is the largest difference between the two shares of values up to x. For values
    with ties the p-value is too large.

    Raises:
        DataError: see ``psi``.
    """
    result = stats.ks_2samp(*_both(reference, sample), method="asymp")
    return float(result.statistic), float(result.pvalue)


class DriftMonitor:
    """Compares the latest values of some numbers with a reference.

    Args:
        reference: ``(n,)`` values by name.
        window: number of latest values that are kept of each name.
        least: number of values before which nothing is reported.
        relevant: PSI below which a difference is too small to matter, however sure it is.
        level: probability of no alarm, for each name, if nothing has changed.
    """

    def __init__(
        self,
        reference: Mapping[str, np.ndarray],
        *,
        window: int = 500,
        least: int = 100,
        relevant: float = 0.1,
        level: float = 0.999,
    ) -> None:
        check_in_range("level", level, 0, 1, open_low=True)
        self.reference = {name: np.asarray(v, dtype=float) for name, v in reference.items()}
        self.least, self.relevant, self.level = least, relevant, level
        self._latest: dict[str, deque[float]] = {n: deque(maxlen=window) for n in self.reference}

    def observe(self, name: str, values: np.ndarray) -> None:
        """Add values; names without a reference are not kept."""
        if name in self._latest:
            self._latest[name].extend(np.asarray(values, dtype=float).tolist())

    def report(self) -> pd.DataFrame:
        """Return ``psi threshold ks p_value alarm`` for each name with enough values.

        ``alarm`` is True if the PSI is above its threshold and above ``relevant``, and the
        Kolmogorov-Smirnov test agrees.
        """
        rows = {}
        for name, latest in list(self._latest.items()):
            if len(latest) < self.least:
                continue
            sample, reference = np.array(list(latest)), self.reference[name]
            bins = len(_edges(reference, 10)) + 1
            value = psi(reference, sample)
            limit = psi_threshold(len(reference), len(sample), bins=bins, level=self.level)
            distance, p = ks_drift(reference, sample)
            alarm = value > max(limit, self.relevant) and p < 1 - self.level
            rows[name] = (value, limit, distance, p, alarm)
        columns = ["psi", "threshold", "ks", "p_value", "alarm"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


class Canary:
    """Compares a new model, which answers for a share of the users, with the current one.

    The value of a user is whether the first event after a list was in the list. The test is
    sequential, so that it may be read after each event (``feedback.Looks.sequential_p_values``).

    Args:
        name: of the new model; users are assigned by a hash of the name and their id.
        share: share of users with the new model, in (0, 1).
        alpha: probability of an alarm, at any time, if both models are equal.
        scale: size of the differences that are expected.
        most: number of users after which no further is counted.
    """

    def __init__(
        self,
        name: str,
        share: float = 0.1,
        *,
        alpha: float = 0.01,
        scale: float = 0.1,
        most: int = 100_000,
    ) -> None:
        self.name, self.share, self.alpha, self.scale, self.most = name, share, alpha, scale, most
        self.users = {True: 0, False: 0}  # of the new model, of the current one
        self.hits = {True: 0, False: 0}
        self.p_value, self.difference = 1.0, 0.0
        self._counted: set[Id] = set()
        self.is_treated(0)  # checks the share

    def is_treated(self, user: Id) -> bool:
        """Return whether a user gets the new model."""
        return bool(assign(np.array([user]), experiment=self.name, share=self.share)[0])

    def record(self, user: Id, hit: bool) -> None:
        """Count what a user did, if it is the first that is known of the user."""
        if user in self._counted or len(self._counted) >= self.most:
            return
        self._counted.add(user)
        side = self.is_treated(user)
        self.users[side] += 1
        self.hits[side] += hit
        rate = sum(self.hits.values()) / len(self._counted)
        if min(self.users.values()) < 10 or not 0 < rate < 1:
            return
        new, old = (self.hits[side] / self.users[side] for side in (True, False))
        self.difference = new - old
        variance = rate * (1 - rate) * sum(1 / n for n in self.users.values())
        counted, difference = np.array([len(self._counted)]), np.array([self.difference])
        looks = Looks(counted, difference, np.array([variance]))
        p = looks.sequential_p_values(scale=self.scale)[0]
        self.p_value = min(self.p_value, float(p))

    @property
    def alarm(self) -> bool:
        """Whether the new model is worse."""
        return self.p_value < self.alpha and self.difference < 0


def _both(reference: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    arrays = np.asarray(reference, dtype=float), np.asarray(sample, dtype=float)
    for name, values in zip(("reference", "sample"), arrays, strict=True):
        if values.ndim != 1 or not len(values) or np.isnan(values).any():
            raise DataError(f"{name} must be (n,) values without NaN, n at least 1; got {values}")
    return arrays


def _edges(reference: np.ndarray, bins: int) -> np.ndarray:
    """Return the inner edges of bins of equal shares; equal edges are merged."""
    return np.unique(np.quantile(reference, np.arange(1, bins) / bins))


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return (counts + SMOOTHING) / (counts + SMOOTHING).sum()
