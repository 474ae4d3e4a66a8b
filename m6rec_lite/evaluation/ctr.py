"""Metrics of predicted click probabilities: AUC, GAUC, log loss, calibration.

AUC depends only on the order of the predictions; log loss and calibration depend on whether 0.1
means one click in ten. A model can be good at one and poor at the other. Accuracy is not
informative if 99 % of the rows are not clicked.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from m6rec_lite.data.ragged import positions_in_rows

Binning = Literal["quantile", "uniform"]


def _labels(clicked: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 0/1 labels and finite predictions of equal length; raise otherwise."""
    labels, predicted = np.asarray(clicked), np.asarray(predicted, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != predicted.shape or not len(labels):
        raise ValueError(
            f"labels and predictions must be two arrays (n,) of one length, n at least 1; got "
            f"shapes {labels.shape} and {predicted.shape}"
        )
    bad = np.flatnonzero((labels != 0) & (labels != 1))
    if len(bad):
        raise ValueError(f"labels must be 0 or 1; got {labels[bad[0]]!r} in row {bad[0]}")
    bad = np.flatnonzero(~np.isfinite(predicted))
    if len(bad):
        raise ValueError(f"predictions must be finite; got {predicted[bad[0]]} in row {bad[0]}")
    return labels.astype(np.float64), predicted


def _probabilities(clicked: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check as ``_labels``, and that the predictions are in [0, 1]."""
    labels, predicted = _labels(clicked, predicted)
    bad = np.flatnonzero((predicted < 0) | (predicted > 1))
    if len(bad):
        raise ValueError(
            f"probabilities must lie in [0, 1]; got {predicted[bad[0]]} in row {bad[0]}. "
            f"Put logits through a sigmoid first"
        )
    return labels, predicted


def auc(clicked: np.ndarray, score: np.ndarray) -> float:
    """Return the probability that a clicked row scores above one not clicked; ties count one half.

    Computed as the Mann-Whitney statistic from average ranks, which is exact under ties: a
    constant score gives 0.5.

    Args:
        clicked: ``(n,)`` 0/1.
        score: ``(n,)``, higher is more probable; need not be a probability.

    Returns:
        A number in [0, 1]; NaN if all rows are clicked, or none.
    """
    labels, score = _labels(clicked, score)
    value, _ = _grouped_auc(labels, score, np.zeros(len(labels), dtype=np.int64), 1)
    return float(value[0])


def auc_by_group(clicked: np.ndarray, score: np.ndarray, group: np.ndarray) -> pd.DataFrame:
    """Return the AUC within each group, such as a user or a slate.

    Returns:
        A frame indexed by group with columns ``auc`` (NaN where only one class occurs), ``rows``
        and ``clicks``.
    """
    labels, score = _labels(clicked, score)
    if np.shape(group) != labels.shape:
        raise ValueError(f"one group per row is needed, {labels.shape}; got {np.shape(group)}")
    codes, names = pd.factorize(np.asarray(group), sort=True)
    if (codes < 0).any():
        raise ValueError("a group is missing (None or NaN); name every row's group")
    value, clicks = _grouped_auc(labels, score, codes, len(names))
    rows = np.bincount(codes, minlength=len(names))
    table = {"auc": value, "rows": rows, "clicks": clicks.astype(np.int64)}
    return pd.DataFrame(table, index=pd.Index(names, name="group"))


def gauc(clicked: np.ndarray, score: np.ndarray, group: np.ndarray) -> float:
    """Return the mean AUC within groups, weighted by the numbers of rows.

    Zhu et al. (2017), "Optimized Cost per Click in Taobao Display Advertising". Unlike AUC it
    does not reward a model for separating active from inactive users. Groups in which all rows
    are clicked, or none, have no AUC and are left out.

    Returns:
        A number in [0, 1]; NaN if no group has both classes.
    """
    table = auc_by_group(clicked, score, group).dropna(subset="auc")
    if not len(table):
        return float("nan")
    return float(np.average(table["auc"], weights=table["rows"]))


def _grouped_auc(
    labels: np.ndarray, score: np.ndarray, codes: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return AUC and number of clicks of each of ``n`` groups, from average ranks."""
    order = np.lexsort((score, codes))
    labels, score, codes = labels[order], score[order], codes[order]
    size = np.bincount(codes, minlength=n)
    position = positions_in_rows(size)
    new = np.ones(len(codes), dtype=bool)
    new[1:] = (codes[1:] != codes[:-1]) | (score[1:] != score[:-1])
    starts = np.flatnonzero(new)
    run = np.cumsum(new) - 1  # rows of one group with one score share their average rank
    lengths = np.diff(np.append(starts, len(codes)))
    rank = (position[starts] + (lengths + 1) / 2)[run]
    clicks = np.bincount(codes, weights=labels, minlength=n)
    above = np.bincount(codes, weights=labels * rank, minlength=n) - clicks * (clicks + 1) / 2
    pairs = clicks * (size - clicks)
    return np.divide(above, pairs, out=np.full(n, np.nan), where=pairs > 0), clicks


def log_loss(clicked: np.ndarray, probability: np.ndarray, *, eps: float = 1e-12) -> float:
    """Return the mean of -[y log z + (1 - y) log(1 - z)] in nats; lower is better.

    It is a proper scoring rule: its expectation is minimal at the true probabilities.

    Args:
        clicked: ``(n,)`` 0/1, y.
        probability: ``(n,)`` in [0, 1], z; clipped to ``[eps, 1 - eps]``, so that the loss is
            finite.
        eps: distance from 0 and 1.
    """
    labels, probability = _probabilities(clicked, probability)
    z = np.clip(probability, eps, 1 - eps)
    return float(-np.mean(labels * np.log(z) + (1 - labels) * np.log1p(-z)))


def reliability_curve(
    clicked: np.ndarray,
    probability: np.ndarray,
    *,
    n_bins: int = 10,
    binning: Binning = "quantile",
) -> pd.DataFrame:
    """Return predicted and observed click rates per bin.

    Args:
        clicked: ``(n,)`` 0/1.
        probability: ``(n,)`` in [0, 1].
        n_bins: largest number of bins; empty ones are left out.
        binning: ``quantile`` for bins of about equal numbers of rows (equal predictions share a
            bin), ``uniform`` for bins of equal width, of which most are empty if clicks are rare.

    Returns:
        A frame, one row per bin, with ``low high predicted observed rows``.

    Raises:
        ValueError: if ``n_bins`` is below 1, or the binning is unknown.
    """
    labels, probability = _probabilities(clicked, probability)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, such as 10; got {n_bins}")
    if binning == "uniform":
        edges = np.linspace(0.0, 1.0, n_bins + 1)
    elif binning == "quantile":
        edges = np.unique(np.quantile(probability, np.linspace(0.0, 1.0, n_bins + 1)))
    else:
        raise ValueError(f"binning must be 'quantile' or 'uniform'; got {binning!r}")
    bins = np.searchsorted(edges[1:-1], probability, side="right")
    n = max(len(edges) - 1, 1)
    rows = np.bincount(bins, minlength=n)
    predicted = np.bincount(bins, weights=probability, minlength=n) / np.maximum(rows, 1)
    observed = np.bincount(bins, weights=labels, minlength=n) / np.maximum(rows, 1)
    table = pd.DataFrame(
        {
            "low": edges[:n],
            "high": edges[-n:],
            "predicted": predicted,
            "observed": observed,
            "rows": rows,
        }
    )
    return table[rows > 0].reset_index(drop=True)


def calibration_error(
    clicked: np.ndarray,
    probability: np.ndarray,
    *,
    n_bins: int = 10,
    binning: Binning = "quantile",
) -> float:
    """Return the mean absolute difference of predicted and observed click rates of bins.

    Expected calibration error, weighted by rows (Naeini et al., 2015). 0 is perfect; arguments as
    in ``reliability_curve``. It depends on the bins: compare only values with the same binning.
    """
    curve = reliability_curve(clicked, probability, n_bins=n_bins, binning=binning)
    return float(np.average((curve["predicted"] - curve["observed"]).abs(), weights=curve["rows"]))


def ctr_metrics(
    clicked: np.ndarray,
    probability: np.ndarray,
    group: np.ndarray | None = None,
    *,
    n_bins: int = 10,
) -> dict[str, float]:
    """Return ``auc``, ``log_loss``, ``calibration_error``, and ``gauc`` if groups are given."""
    metrics = {
        "auc": auc(clicked, probability),
        "log_loss": log_loss(clicked, probability),
        "calibration_error": calibration_error(clicked, probability, n_bins=n_bins),
    }
    if group is not None:
        metrics["gauc"] = gauc(clicked, probability, group)
    return metrics
