"""The result of an evaluation: metrics, their intervals, and costs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.evaluation.ranking import TargetRanks
from m6rec_lite.evaluation.significance import Method, PairedTest, paired_test

#: Readable names of the metrics.
LABELS: dict[str, str] = {
    "hr": "hit rate",
    "recall": "recall",
    "precision": "precision",
    "f1": "F1",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "map": "MAP",
    "coverage": "catalogue coverage",
    "novelty": "novelty (bits)",
    "unknown": "share unknown to the user",
    "diversity": "intra-list diversity",
    "overlap": "overlap between users (Jaccard)",
    "popularity_lift": "popularity lift",
    "satisfaction": "expected satisfaction",
}


@dataclass(frozen=True, eq=False)
class Report:
    """Result of ``evaluate`` for one model on one split.

    Attributes:
        model: the model's name, as in the leaderboard.
        variant: its non-default settings, or "".
        seed: the model's seed, or None.
        dataset: name of the dataset.
        split: name of the splitting rule.
        split_hash: hash of the test questions; results with different hashes are not comparable.
        on: ``test`` or ``validation``.
        ranking: ``full``, or ``sampled:n`` if only n negatives were ranked (not for publication).
        filter_viewed: whether items of the history were excluded from the ranking.
        k: the list lengths.
        n_users: number of users evaluated.
        n_skipped: number of users excluded because none of their targets may be ranked.
        n_targets_out: number of targets excluded: seen before while seen items are excluded, or
            not among the split's candidates.
        tied_last: share of the questions whose target has the timestamp of the event before it,
            so that the order of the file decides which event is the target.
        user_ids: ``(n_users,)`` ids in the order of the per-user arrays.
        per_user: metric -> ``(n_users,)``.
        metrics: metric -> value: the mean over users; coverage and overlap of all users.
        intervals: metric -> (low, high), 95 % bootstrap over users; none for coverage and overlap,
            which are not means over users.
        costs: ``fit_seconds predict_seconds peak_mib n_params``; NaN if not measured.
            ``predict_seconds`` is the time in ``score``; ``peak_mib`` is the larger growth of
            fitting and evaluating.
        oracle: the oracle's hr and ndcg under the same protocol, or None.
        oracle_share: the same metrics -> the model's value divided by the oracle's, or None.
        ranks: the rank of every target; its rows index ``user_ids``. None if not measured.
    """

    model: str
    variant: str
    seed: int | None
    dataset: str
    split: str
    split_hash: str
    on: str
    ranking: str
    filter_viewed: bool
    k: tuple[int, ...]
    n_users: int
    n_skipped: int
    n_targets_out: int
    user_ids: np.ndarray
    per_user: dict[str, np.ndarray]
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    costs: dict[str, float] = field(default_factory=dict)
    oracle: dict[str, float] | None = None
    oracle_share: dict[str, float] | None = None
    tied_last: float = 0.0
    ranks: TargetRanks | None = None

    @property
    def title(self) -> str:
        """The model's name with its variant, such as ``EASE (l2=1000)``."""
        return f"{self.model} ({self.variant})" if self.variant else self.model

    def __getitem__(self, metric: str) -> float:
        """Return the value of a metric, such as ``report["ndcg@10"]``."""
        if metric not in self.metrics:
            raise KeyError(f"no metric {metric!r} in this report; it has {', '.join(self.metrics)}")
        return self.metrics[metric]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per metric and k: ``metric k value low high oracle_share``."""
        rows = []
        for name, value in self.metrics.items():
            base, k = name.rsplit("@", 1)
            low, high = self.intervals.get(name, (np.nan, np.nan))
            share = (self.oracle_share or {}).get(name, np.nan)
            rows.append((base, int(k), value, low, high, share))
        columns = ["metric", "k", "value", "low", "high", "oracle_share"]
        return pd.DataFrame(rows, columns=columns)

    def _table(self) -> pd.DataFrame:
        """Return a table of texts, rows are metrics, columns k; ± is half of the interval."""
        cells: dict[str, dict[str, str]] = {}
        for name, value in self.metrics.items():
            base, k = name.rsplit("@", 1)
            low, high = self.intervals.get(name, (np.nan, np.nan))
            text = f"{value:.4f}" + (f" ± {(high - low) / 2:.4f}" if np.isfinite(low) else "")
            cells.setdefault(LABELS.get(base, base), {})[f"@{k}"] = text
        for name, share in (self.oracle_share or {}).items():
            base, k = name.rsplit("@", 1)
            label = f"{LABELS[base]}, share of the oracle's"
            cells.setdefault(label, {})[f"@{k}"] = f"{share:.1%}"
        return pd.DataFrame.from_dict(cells, orient="index").fillna("")

    def _lines(self) -> tuple[str, str]:
        """Return a line that describes the evaluation, and a line with its costs."""
        full = "every unseen item" if self.filter_viewed else "every item"
        ranked = full if self.ranking == "full" else f"a sample of items ({self.ranking})"
        head = (
            f"{self.title} on {self.dataset}, {self.split} {self.on} ({self.split_hash}): "
            f"{self.n_users:,} users, ranking {ranked}"
        )
        if self.n_skipped or self.n_targets_out:
            head += (
                f"; left out: {self.n_targets_out:,} targets that may not be ranked, "
                f"{self.n_skipped:,} users without a target"
            )
        if self.tied_last > 0:
            head += f"; file order decided the target of {self.tied_last:.0%} (tied timestamps)"
        names = {
            "fit_seconds": ("fit", "s"),
            "predict_seconds": ("predict", "s"),
            "peak_mib": ("peak memory", "MiB"),
        }
        parts = [f"{label} {self.costs[key]:,.2f} {unit}" for key, (label, unit) in names.items()
                 if np.isfinite(self.costs.get(key, np.nan))]  # fmt: skip
        if np.isfinite(self.costs.get("n_params", np.nan)):
            parts.append(f"{int(self.costs['n_params']):,} parameters")
        return head, ", ".join(parts)

    def __str__(self) -> str:
        head, cost = self._lines()
        return "\n".join(filter(None, (head, self._table().to_string(), cost)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, cost = (html.escape(line) for line in self._lines())
        note = "± is half of the 95 % bootstrap interval over users" if self.intervals else ""
        tail = "<br>".join(filter(None, (cost, note)))
        return f"<p>{head}</p>{self._table().to_html(border=0)}<p><small>{tail}</small></p>"

    def to_row(
        self, *, scale: str = "", seed: int | None = None, command: str = ""
    ) -> dict[str, Any]:
        """Return a row of the leaderboard.

        Args:
            scale: the scale profile of the run.
            seed: replaces the model's own seed.
            command: the command that reproduces the row.

        Returns:
            ``dataset scale split_hash model variant seed n_params fit_seconds predict_seconds
            peak_mib``, then hr and ndcg with their intervals at every k (10 first), the other
            metrics at the first of these k, the oracle shares, ``tied_last`` and ``command``.

        Raises:
            ValueError: if the report is on sampled negatives or on validation, since these are not
                comparable with the leaderboard.
        """
        if self.ranking != "full" or self.on != "test":
            raise ValueError(
                f"a leaderboard row needs the full ranking on test; this report is {self.ranking} "
                f"on {self.on}"
            )
        row: dict[str, Any] = {
            "dataset": self.dataset,
            "scale": scale,
            "split_hash": self.split_hash,
            "model": self.model,
            "variant": self.variant,
            "seed": self.seed if seed is None else seed,
        }
        for key in ("n_params", "fit_seconds", "predict_seconds", "peak_mib"):
            row[key] = self.costs.get(key, np.nan)
        ks = sorted(self.k, key=lambda k: (k != 10, k))
        for k in ks:
            for name in (f"hr@{k}", f"ndcg@{k}"):
                row[name] = self.metrics[name]
                row[f"{name}_low"], row[f"{name}_high"] = self.intervals.get(name, (np.nan, np.nan))
        for base in LABELS:
            row.setdefault(f"{base}@{ks[0]}", self.metrics.get(f"{base}@{ks[0]}", np.nan))
        for name in (f"hr@{ks[0]}", f"ndcg@{ks[0]}"):
            row[f"oracle_share_{name}"] = (self.oracle_share or {}).get(name, np.nan)
        row["n_users"] = self.n_users
        row["tied_last"] = self.tied_last
        row["command"] = command
        return row

    def compare(
        self, other: Report, metric: str = "ndcg@10", *, method: Method = "t"
    ) -> PairedTest:
        """Compare this report with another; see the function ``compare``."""
        return compare(self, other, metric, method=method)


def compare(
    first: Report, second: Report, metric: str = "ndcg@10", *, method: Method = "t", seed: int = 0
) -> PairedTest:
    """Test whether two models differ on one metric, paired user by user.

    Args:
        first: a report.
        second: another report, on the same questions under the same protocol.
        metric: a per-user metric of both.
        method: ``t``, ``wilcoxon`` or ``bootstrap``; see ``paired_test``.
        seed: seed of the bootstrap.

    Returns:
        The mean difference (first minus second), its interval and the p-value.

    Raises:
        ValueError: if the questions or protocols differ, or a report lacks the per-user metric.
    """
    for name in ("split_hash", "on", "ranking", "filter_viewed"):
        a, b = getattr(first, name), getattr(second, name)
        if a != b:
            raise ValueError(
                f"{first.title} and {second.title} answer different questions: {name} is {a!r} and "
                f"{b!r}; evaluate both on one split with the same options"
            )
    if not np.array_equal(first.user_ids, second.user_ids):
        raise ValueError(f"{first.title} and {second.title} were not evaluated on the same users")
    common = [name for name in first.per_user if name in second.per_user]
    if metric not in common:
        raise ValueError(f"no per-user metric {metric!r} in both reports; both have {common}")
    return paired_test(
        first.per_user[metric],
        second.per_user[metric],
        method=method,
        seed=seed,
        what=f"{metric}: {first.title} - {second.title}",
    )


def report_table(reports: Iterable[Report], metrics: Iterable[str] | None = None) -> pd.DataFrame:
    """Return a table of reports, one row per model in the given order.

    Args:
        reports: at least one report.
        metrics: the columns; by default hr, ndcg, coverage, novelty, diversity and popularity
            lift at 10 (or the first k), if they were measured.

    Returns:
        A frame with ``model variant``, the metrics, ``oracle_share`` (of ndcg) if a report has it,
        and the costs.

    Raises:
        ValueError: if there is no report, the questions differ, or a metric is unknown.
    """
    reports = list(reports)
    if not reports:
        raise ValueError("report_table needs at least one report")
    protocols = {(r.split_hash, r.on, r.ranking, r.filter_viewed) for r in reports}
    if len(protocols) > 1:
        raise ValueError(
            f"these reports answer different questions and do not belong in one table: "
            f"{sorted(map(str, protocols))} (split_hash, on, ranking, filter_viewed)"
        )
    k = 10 if 10 in reports[0].k else reports[0].k[0]
    if metrics is None:
        default = ("hr", "ndcg", "coverage", "novelty", "diversity", "popularity_lift")
        metrics = [f"{base}@{k}" for base in default if f"{base}@{k}" in reports[0].metrics]
    rows = []
    for report in reports:
        row: dict[str, Any] = {"model": report.model, "variant": report.variant}
        for name in metrics:
            if name not in report.metrics:
                raise ValueError(
                    f"{report.title} has no metric {name!r}; it has {list(report.metrics)}"
                )
            row[name] = report.metrics[name]
        if any(other.oracle_share for other in reports):
            row["oracle_share"] = (report.oracle_share or {}).get(f"ndcg@{k}", np.nan)
        rows.append(row | report.costs)
    return pd.DataFrame(rows)


def markdown_table(frame: pd.DataFrame) -> str:
    """Return a Markdown table: text left-aligned, numbers right-aligned, "" for missing."""
    cells = frame.astype(object).where(frame.notna(), "")
    cells = cells.map(lambda cell: str(cell).replace("|", "\\|").replace("\n", " "))
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    align = ["right" if is_number else "left" for is_number in numeric]
    text = cells.to_markdown(index=False, disable_numparse=True, colalign=align)
    return re.sub(" {2,}", " ", re.sub("-{3,}", "---", text))  # without padding
