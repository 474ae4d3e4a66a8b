"""Readers of the files under ``results/`` for the page ``paper``: results and comparisons.

Each reader takes the folder of results and returns ``Evidence``, or None if there are no results.
A file that exists but cannot be read is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.pages.boards import of_own_rows
from experiments.pages.paper_rule import Comparison, Estimate, Evidence, compare_intervals
from m6rec_lite.course.comparison import (
    RETRIEVER,
    TEXT_ID_RETRIEVER,
    TEXT_RETRIEVER,
    display_name,
    time_awareness,
)
from m6rec_lite.course.leaderboard import ORACLE, Leaderboard
from m6rec_lite.data.result_files import read_json, read_rows
from m6rec_lite.evaluation.published import TIME_BLIND, best_published

#: Networks over item ids, such as YouTubeDNN, with which the paper compares its retrieval.
NETWORKS = ("SASRec", "GRU4Rec", "BERT4Rec")
#: Entry of a report: the paired difference between a run and the bigram.
DIFFERENCE_FROM_BIGRAM = "more than the bigram, paired"
#: Largest number of examples of a new domain that counts as few.
FEW = 100


def clicks(results: Path) -> Evidence | None:
    """Return the results on scoring, from ``clicks/bazaar.csv`` (``click_models``)."""
    path = results / "clicks" / "bazaar.csv"
    rows = _rows(path, "model variant seed n_train n_test auc command")
    rows = rows[rows["label"] == "clicked"] if len(rows) else rows
    own = most_seeds(rows[rows["model"] == "M6RecCTR"]) if len(rows) else rows
    if not len(own):
        return None
    columns = ["auc - DIN", "auc - DIN, low", "auc - DIN, high"]
    _check_columns(own, columns, path)
    comparisons = []
    for row in own.to_dict("records"):
        mean, low, high = (float(row[column]) for column in columns)
        seed = int(row["seed"])
        comparisons.append(Comparison("DIN, seed 0", "AUC", seed, mean, low, high, paired=True))
    n_train, n_test = (int(own[name].iloc[0]) for name in ("n_train", "n_test"))
    protocol = (
        f"Impressions of the bazaar split by time, {n_train:,} for training and the latest "
        f"{n_test:,} for test; {_settings(own)}; intervals are paired over users, "
        "against the DIN of seed 0. The oracle knows the true probabilities of the simulation."
    )
    figures = (f"AUC {_model_means(rows, 'auc')}",)
    return Evidence(figures, protocol, _commands(own), tuple(comparisons))


def retrieval(results: Path, *, dataset: str, text_alone: bool) -> Evidence | None:
    """Return the results on full ranking, from ``leaderboard/`` and the recorded runs.

    Args:
        results: the folder of results.
        dataset: name of the data set.
        text_alone: whether to select the retriever without ids as input, or the one with ids.
    """
    board = Leaderboard(results / "leaderboard").latest(dataset, scale="laptop")
    if not len(board):
        return None
    board = of_own_rows(board)
    wanted = TEXT_RETRIEVER if text_alone else TEXT_ID_RETRIEVER
    names = [display_name(*pair) for pair in zip(board["model"], board["variant"], strict=True)]
    time_blind = board["variant"].map(time_awareness) == TIME_BLIND  # like the models compared with
    is_own = pd.Series([name == wanted for name in names], index=board.index) & time_blind
    own, others = most_seeds(board[is_own]), board[board["model"] != RETRIEVER]
    if not len(own):
        return None
    networks = [most_seeds(others[others["model"] == name]) for name in NETWORKS]
    means = [rows["ndcg@10"].mean() if len(rows) else -math.inf for rows in networks]
    network = networks[means.index(max(means))]
    bigram = most_seeds(others[others["model"] == "Bigram"])
    best, reports = best_published(dataset), _reports(results / "runs")
    comparisons = []
    for row in own.to_dict("records"):
        seed, ours = int(row["seed"]), _estimate(row, "ndcg@10")
        estimates: list[tuple[str, Estimate]] = []
        report = reports.get(row["command"])
        if report is not None:
            mean, low, high = (report[DIFFERENCE_FROM_BIGRAM][k] for k in ("mean", "low", "high"))
            comparisons.append(Comparison("Bigram", "NDCG@10", seed, mean, low, high, paired=True))
        elif len(bigram):
            estimates.append(("Bigram", _estimate(bigram.iloc[0], "ndcg@10")))
        if len(network):
            estimates.append((network["model"].iloc[0], _estimate(network.iloc[0], "ndcg@10")))
        if best is not None:
            estimates.append((f"{best.model}, published", (best.ndcg, best.ndcg, best.ndcg)))
        comparisons += [
            compare_intervals(name, "NDCG@10", seed, ours, baseline) for name, baseline in estimates
        ]
    simple = others[~others["model"].isin([*NETWORKS, ORACLE])].sort_values("ndcg@10").iloc[-1:]
    best_simple = "".join(
        f" The best other model of the leaderboard is {row['model']}"
        f"{' (' + row['variant'] + ')' if row['variant'] else ''}, {row['ndcg@10']:.4f}."
        for row in simple.to_dict("records")
    )
    protocol = (
        f"{dataset}, leave-one-out (split {own['split_hash'].iloc[0]}), ranking of all items that "
        f"the user has not seen; {_settings(own)}; intervals over users.{best_simple}"
    )
    shown = pd.concat([own, network, bigram])
    figures = tuple(f"{m.upper()} {_model_means(shown, m)}" for m in ("ndcg@10", "hr@10"))
    return Evidence(figures, protocol, _commands(own), tuple(comparisons))


def task(
    results: Path,
    *,
    task: str,
    metric: str,
    shown: Sequence[str],
) -> Evidence | None:
    """Return the results of one task of ``tasks/bazaar.csv``.

    Args:
        results: the folder of results.
        task: name of the task in the file.
        metric: metric that decides the claim; higher is better.
        shown: metrics to show, if the file has them.

    Every other model that has the metric is a baseline, which ``M6-Rec`` must exceed.
    """
    ours = "M6-Rec"
    path = results / "tasks" / "bazaar.csv"
    rows = _rows(path, "dataset task part model metric seed value low high n command")
    rows = rows[(rows["task"] == task) & (rows["part"] != "validation")] if len(rows) else rows
    own = rows[(rows["model"] == ours) & (rows["metric"] == metric)] if len(rows) else rows
    if not len(own):
        return None
    decisive = rows[(rows["metric"] == metric) & ~_is_ours(rows)]
    differences = rows[(rows["model"] == ours) & rows["metric"].str.startswith(f"{metric} - ")]
    subtracted = differences["metric"].str.removeprefix(f"{metric} - ")
    names = dict.fromkeys([*decisive["model"], *subtracted])
    several_parts = len(set(own["part"])) > 1
    comparisons = []
    for row in own.to_dict("records"):
        label, seed = f"{metric}, {row['part']}" if several_parts else metric, int(row["seed"])
        for name in names:
            difference = _matching_row(differences[subtracted == name], row)
            other = _matching_row(decisive[decisive["model"] == name], row)
            if difference is not None:
                mean, low, high = _estimate(difference, "value")
                comparisons.append(Comparison(name, label, seed, mean, low, high, paired=True))
            elif other is not None:
                estimates = (_estimate(row, "value"), _estimate(other, "value"))
                comparisons.append(compare_intervals(name, label, seed, *estimates))
    phrases = []
    for name in shown:
        for part, group in rows[rows["metric"] == name].groupby("part", sort=False):
            label = f"{name} ({part})" if several_parts else name
            phrases.append(f"{label} {_model_means(group, 'value')}")
    counts = ", ".join(
        f"{int(row['n']):,} test cases{row['part'] and ' of '}{row['part']}"
        for row in own.drop_duplicates("part").to_dict("records")
    )
    seeds = _join(sorted(set(own["seed"])))
    protocol = f"{own['dataset'].iloc[0]}, {counts}, not used in training; seed {seeds}."
    return Evidence(tuple(phrases), protocol, _commands(own), tuple(comparisons))


def new_domain(results: Path) -> Evidence | None:
    """Return the results in a new domain by number of examples, from ``new_domain/bazaar.csv``."""
    path, metric = results / "new_domain" / "bazaar.csv", "ndcg@10"
    columns = f"dataset domain model examples seed {metric} {metric}_low {metric}_high n_users"
    rows = _rows(path, f"{columns} command")
    if not len(rows) or not (rows["model"] == RETRIEVER).any():
        return None
    own, others = rows[rows["model"] == RETRIEVER], rows[~_is_ours(rows)]
    comparisons = []
    for row in own[own["examples"] <= FEW].sort_values(["domain", "examples"]).to_dict("records"):
        same = others
        for name in ("domain", "examples", "seed"):
            same = same[same[name] == row[name]]
        if len(same):
            best = same.loc[same[metric].idxmax()]
            label = f"NDCG@10, {row['domain']}, {row['examples']} examples"
            estimates = (_estimate(row, metric), _estimate(best, metric))
            comparisons.append(
                compare_intervals(best["model"], label, int(row["seed"]), *estimates)
            )
    is_last = rows["examples"] == rows.groupby("domain")["examples"].transform("max")
    rows = rows.assign(step=rows["examples"].astype(str).where(~is_last, "all"))
    steps = [*rows.loc[~is_last, "examples"].sort_values().unique().astype(str), "all"]
    phrases = [f"NDCG@10, mean over domains, at {', '.join(steps)} examples"]
    n_domains = rows["domain"].nunique()
    partial = []
    for name, group in rows.groupby("model", sort=False):
        if group["domain"].nunique() < n_domains:
            partial.append((name, group))
        else:
            phrases.append(f"{name} {_curve(group, steps)}")
    for name, group in partial:  # compared on the same domains, not with a mean over all
        domains = sorted(set(group["domain"]))
        ours = rows[(rows["model"] == RETRIEVER) & rows["domain"].isin(domains)]
        phrases.append(
            f"on {_join(domains)} alone: {name} {_curve(group, steps)}, "
            f"{RETRIEVER} {_curve(ours, steps)}"
        )
    sizes = _join(
        f"{name} ({int(group['n_users'].iloc[0]):,} users)"
        for name, group in rows.groupby("domain")
    )
    protocol = (
        f"{rows['dataset'].iloc[0]}: all rows of a domain are hidden, then a number of them is "
        f"added to training. The domain's items are ranked by NDCG@10 for test users whose rows "
        f"in it are never in training. Domains: {sizes}; seed {_join(sorted(set(own['seed'])))}."
    )
    return Evidence(tuple(phrases), protocol, _commands(own), tuple(comparisons))


def _curve(rows: pd.DataFrame, steps: Sequence[str]) -> str:
    """Return NDCG@10 at each number of examples, the mean over domains."""
    means = rows.groupby("step")["ndcg@10"].mean().reindex(list(steps))
    return ", ".join(means.map("{:.3f}".format))


def most_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the variant with the most seeds; among equals the last written."""
    if not len(rows):
        return rows
    seeds = rows.groupby("variant", sort=False)["seed"].nunique().to_dict()
    last = {variant: i for i, variant in enumerate(rows["variant"])}
    best = max(seeds, key=lambda variant: (seeds[variant], last[variant]))
    return rows[rows["variant"] == best].sort_values("seed")


def _rows(path: Path, columns: str) -> pd.DataFrame:
    """Return the rows of a file, none if it is missing; an empty variant or part is ``""``."""
    if not path.is_file():
        return pd.DataFrame()
    empty = ("variant", "part")
    rows = read_rows(path, (), text_columns=empty)
    _check_columns(rows, columns.split(), path)
    return rows


def _is_ours(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are not baselines: our models and the oracle."""
    return rows["model"].str.startswith("M6") | (rows["model"] == ORACLE)


def _check_columns(rows: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    missing = [name for name in columns if name not in rows]
    if missing:
        raise ValueError(
            f"{path.parent.name}/{path.name} lacks the columns {', '.join(missing)}: write it "
            "again with the command that creates it"
        )


def _estimate(row: pd.Series | Mapping[Any, Any], metric: str) -> Estimate:
    low, high = ("low", "high") if metric == "value" else (f"{metric}_low", f"{metric}_high")
    return float(row[metric]), float(row[low]), float(row[high])


def _matching_row(rows: pd.DataFrame, row: Mapping[Any, Any]) -> pd.Series | None:
    """Return the row of the same part and seed, or of the first seed."""
    rows = rows[rows["part"] == row["part"]]
    exact = rows[rows["seed"] == row["seed"]]
    rows = exact if len(exact) else rows
    return rows.iloc[0] if len(rows) else None


def _reports(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the reports with a comparison with the bigram, by the command of the run."""
    pairs = [
        (read_json(path.with_name("config.json")), read_json(path))
        for path in sorted(folder.glob("*/report.json"))
    ]
    return {
        config["command"]: report for config, report in pairs if DIFFERENCE_FROM_BIGRAM in report
    }


def _model_means(rows: pd.DataFrame, metric: str) -> str:
    """Return the mean over seeds of each model, highest first."""
    rows = rows.assign(variant="") if "variant" not in rows else rows
    means = []
    for name in dict.fromkeys(rows["model"]):
        group = most_seeds(rows[(rows["model"] == name) & rows[metric].notna()])
        if len(group):
            mean = float(group[metric].mean())
            seeds = f" (mean of {len(group)} seeds)" if len(group) > 1 else ""
            means.append((mean, f"{name} {mean:.{4 if abs(mean) < 10 else 2}f}{seeds}"))
    return ", ".join(text for _, text in sorted(means, key=lambda pair: -pair[0]))


def _settings(own: pd.DataFrame) -> str:
    variant = own["variant"].iloc[0]
    settings = f"settings `{variant}`" if variant else "default settings"
    return f"{settings}, seed {_join(own['seed'])}"


def _join(values: Iterable[object]) -> str:
    """Join values as ``1, 2 and 3``."""
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}" if first else last


def _commands(rows: pd.DataFrame) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rows["command"]))
