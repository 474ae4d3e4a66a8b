"""The result of an evaluation: its figures, how sure they are, and what they cost."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.evaluation.ranking import TargetRanks
from m6rec_lite.evaluation.significance import Method, PairedTest, paired_test

#: What ``Report`` calls each figure, for people.
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
    """What ``evaluate`` found for one model on one split.

    Attributes:
        model: the model's name, as the leaderboard writes it.
        variant: its non-default settings, or "".
        seed: the model's seed, or None.
        dataset: name of the data set.
        split: name of the split's rule.
        split_hash: names the test questions; figures with another hash are not comparable.
        on: ``test`` or ``validation``.
        ranking: ``full``, or ``sampled:n`` where only n negatives were ranked (never publish it).
        filter_viewed: whether items of the history were left out of the ranking.
        k: the list lengths.
        n_users: users that count.
        n_skipped: users left out because no target of theirs can be ranked.
        n_targets_out: targets left out: seen before while seen items are excluded, or not among
            the split's candidates.
        tied_last: share of the questions whose target has the timestamp of the event before it:
            there the order of the file decided what the target is.
        user_ids: ``(n_users,)`` the order of the per-user arrays.
        per_user: metric -> ``(n_users,)``.
        metrics: metric -> figure: the mean over users, or coverage and overlap of them all.
        intervals: metric -> (low, high), 95 % bootstrap over users; none for coverage and overlap,
            which are not means over users.
        costs: ``fit_seconds predict_seconds peak_mib n_params``; NaN where not measured. Predicting
            is the time within ``score``; memory is the higher growth of fitting and evaluating.
        oracle: the oracle's hr and ndcg under the same protocol, or None.
        oracle_share: the same metrics -> share of the oracle's value that the model reaches, or
            None.
        ranks: the rank of every target; its rows index ``user_ids``. None where not measured.
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
        """The figure of one metric, such as ``report["ndcg@10"]``."""
        if metric not in self.metrics:
            raise KeyError(f"no metric {metric!r} in this report; it has {', '.join(self.metrics)}")
        return self.metrics[metric]

    def to_frame(self) -> pd.DataFrame:
        """One row a metric and k: ``metric k value low high oracle_share``; NaN for none."""
        rows = []
        for name, value in self.metrics.items():
            base, k = name.rsplit("@", 1)
            low, high = self.intervals.get(name, (np.nan, np.nan))
            share = (self.oracle_share or {}).get(name, np.nan)
            rows.append((base, int(k), value, low, high, share))
        columns = ["metric", "k", "value", "low", "high", "oracle_share"]
        return pd.DataFrame(rows, columns=columns)

    def _table(self) -> pd.DataFrame:
        """Metrics down, k across, as text with half the width of the interval behind ±."""
        cells: dict[str, dict[str, str]] = {}
        for row in self.to_frame().itertuples():
            text = f"{row.value:.4f}"
            if np.isfinite(row.low):
                text += f" ± {(row.high - row.low) / 2:.4f}"
            cells.setdefault(LABELS.get(row.metric, row.metric), {})[f"@{row.k}"] = text
        for name, share in (self.oracle_share or {}).items():
            base, k = name.rsplit("@", 1)
            label = f"{LABELS[base]}, share of the oracle's"
            cells.setdefault(label, {})[f"@{k}"] = f"{share:.1%}"
        return pd.DataFrame.from_dict(cells, orient="index").fillna("")

    def _lines(self) -> tuple[str, str]:
        """What was asked, and what it cost: a line each."""
        full = "every unseen item" if self.filter_viewed else "every item"
        what = full if self.ranking == "full" else f"a sample of items ({self.ranking})"
        head = (
            f"{self.title} on {self.dataset}, {self.split} {self.on} ({self.split_hash}): "
            f"{self.n_users:,} users, ranking {what}"
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

    def to_row(self, *, scale: str = "", seed: int | None = None, command: str = "") -> dict:
        """One row of the leaderboard.

        Args:
            scale: the scale profile under which it ran.
            seed: in place of the model's own seed.
            command: what makes this row again.

        Returns:
            ``dataset scale split_hash model variant seed n_params fit_seconds predict_seconds
            peak_mib``, then hr and ndcg with their intervals at every k (10 first), the other
            figures at the first of these k, the oracle shares, ``tied_last`` and ``command``.

        Raises:
            ValueError: for a report on sampled negatives or on validation: neither may be compared
                with the leaderboard's figures.
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
        """This report against another: see the function ``compare``."""
        return compare(self, other, metric, method=method)


def compare(
    first: Report, second: Report, metric: str = "ndcg@10", *, method: Method = "t", seed: int = 0
) -> PairedTest:
    """Test whether two models differ on one metric, paired user by user.

    Args:
        first: one report.
        second: another, on the same questions under the same protocol.
        metric: a per-user metric of both.
        method: ``t``, ``wilcoxon`` or ``bootstrap``; see ``paired_test``.
        seed: of the bootstrap.

    Returns:
        the mean difference (first minus second), its interval and the p-value.

    Raises:
        ValueError: if the two were not asked the same, or lack the metric given a user.
    """
    for what in ("split_hash", "on", "ranking", "filter_viewed"):
        one, other = getattr(first, what), getattr(second, what)
        if one != other:
            raise ValueError(
                f"{first.title} and {second.title} were not asked the same: {what} is {one!r} and "
                f"{other!r}; evaluate both on one split with the same options"
            )
    if not np.array_equal(first.user_ids, second.user_ids):
        raise ValueError(f"{first.title} and {second.title} were not judged on the same users")
    both = [name for name in first.per_user if name in second.per_user]
    if metric not in both:
        raise ValueError(f"no metric {metric!r} given a user in both reports; both have {both}")
    return paired_test(
        first.per_user[metric],
        second.per_user[metric],
        method=method,
        seed=seed,
        what=f"{metric}: {first.title} - {second.title}",
    )


def report_table(reports: Iterable[Report], metrics: Iterable[str] | None = None) -> pd.DataFrame:
    """Reports side by side, one row a model in the order given.

    Args:
        reports: any number, at least one.
        metrics: which columns; by default hr and ndcg at 10 (or the first k), coverage, novelty
            and popularity lift there, where they were measured.

    Returns:
        a frame with ``model variant``, the metrics, ``oracle_share`` (of ndcg) where an oracle was
        given, and the costs.

    Raises:
        ValueError: without a report, on reports of different questions, or an unknown metric.
    """
    reports = list(reports)
    if not reports:
        raise ValueError("report_table needs at least one report")
    asked = {(each.split_hash, each.on, each.ranking, each.filter_viewed) for each in reports}
    if len(asked) > 1:
        raise ValueError(
            f"these reports answer different questions and do not belong in one table: "
            f"{sorted(map(str, asked))} (split_hash, on, ranking, filter_viewed)"
        )
    k = 10 if 10 in reports[0].k else reports[0].k[0]
    if metrics is None:
        usual = ("hr", "ndcg", "coverage", "novelty", "diversity", "popularity_lift")
        metrics = [f"{base}@{k}" for base in usual if f"{base}@{k}" in reports[0].metrics]
    rows = []
    for each in reports:
        row: dict[str, Any] = {"model": each.model, "variant": each.variant}
        for name in metrics:
            if name not in each.metrics:
                raise ValueError(
                    f"{each.title} has no metric {name!r}; it has {list(each.metrics)}"
                )
            row[name] = each.metrics[name]
        if any(other.oracle_share for other in reports):
            row["oracle_share"] = (each.oracle_share or {}).get(f"ndcg@{k}", np.nan)
        rows.append(row | each.costs)
    return pd.DataFrame(rows)
