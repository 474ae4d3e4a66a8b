"""Tables of the Bayes filter: what it may know, and what each part of the world's rules buys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from experiments.compare import user_metric
from experiments.records import RANKS, Records, RunKey
from m6rec_lite.course.leaderboard import ORACLE
from m6rec_lite.evaluation import paired_test
from m6rec_lite.evaluation.report import markdown_table

EXPERIMENT, FILTER = "bayes_filter", "Bayes filter"
#: Variant of the filter that knows what a time-blind model may know.
INFERRED = "shopper unknown, time unknown"


def inferred_filter(dataset: str) -> RunKey:
    """Return the key of the filter that infers the shopper and does not know the query time."""
    return RunKey(EXPERIMENT, dataset, FILTER, INFERRED)


def filter_runs(results: Path, dataset: str) -> pd.DataFrame:
    """Return the recorded runs of the filter on a data set.

    Returns:
        ``shopper`` (``known`` or ``inferred``), ``time`` (``known`` or ``unknown``), ``without`` (a
        tuple of parts), ``questions``, ``hr@10``, ``ndcg@10`` with its interval ``low`` and
        ``high``, ``folder`` and ``command``.
    """
    rows: list[dict[str, Any]] = []
    for folder, config, report in Records(results).finished(EXPERIMENT):
        if config["dataset"] != dataset:
            continue
        settings = config["settings"]
        low, high = report["intervals"]["ndcg@10"]
        rows.append(
            {
                "shopper": "known" if settings.get("know_shopper") else "inferred",
                "time": "known" if settings.get("know_time") else "unknown",
                "without": tuple(settings.get("without", ())),
                "questions": report["n_users"],
                "hr@10": report["metrics"]["hr@10"],
                "ndcg@10": report["metrics"]["ndcg@10"],
                "low": low,
                "high": high,
                "folder": folder,
                "command": config["command"],
            }
        )
    columns = "shopper time without questions hr@10 ndcg@10 low high folder command"
    return pd.DataFrame(rows, columns=columns.split())


def knowledge_table(runs: pd.DataFrame, oracle: float) -> pd.DataFrame:
    """Return the rows {shopper inferred, known} x {time unknown, known}.

    Args:
        runs: see ``filter_runs``.
        oracle: NDCG@10 of the oracle on the same questions; NaN if not recorded.
    """
    rows = runs[runs["without"].map(len) == 0].sort_values("ndcg@10")
    return pd.DataFrame(
        {
            "shopper": rows["shopper"],
            "time of the query": rows["time"],
            "HR@10": rows["hr@10"].map("{:.4f}".format),
            "NDCG@10": [_with_interval(row) for row in rows.to_dict("records")],
            "share of the oracle": [
                f"{value / oracle:.0%}" if oracle == oracle else "" for value in rows["ndcg@10"]
            ],
        }
    )


def ablation_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the filter without each part of the rules, and its paired loss of NDCG@10."""
    inferred = runs[(runs["shopper"] == "inferred") & (runs["time"] == "unknown")]
    whole = inferred[inferred["without"].map(len) == 0]
    parts = inferred[inferred["without"].map(len) > 0].sort_values("ndcg@10", ascending=False)
    if not len(whole):
        return pd.DataFrame()
    values = user_metric(whole["folder"].iloc[0])
    rows = [{"without": "nothing", "NDCG@10": _with_interval(whole.iloc[0].to_dict())}]
    for row in parts.to_dict("records"):
        first, second = user_metric(row["folder"]).align(values, join="inner")
        test = paired_test(first.to_numpy(), second.to_numpy())
        change = f"{test.mean_difference:+.4f} ({test.low:+.4f} to {test.high:+.4f})"
        name = ", ".join(row["without"])
        rows.append({"without": name, "NDCG@10": _with_interval(row), "change, paired": change})
    return pd.DataFrame(rows).fillna("")


def section(results: Path, dataset: str = "bazaar") -> str:
    """Return the section of the page on one world; "" if nothing is recorded."""
    runs = filter_runs(results, dataset)
    if not len(runs):
        return ""
    folder = Records(results).folder(RunKey("simple_models", dataset, ORACLE))
    oracle = float(user_metric(folder).mean()) if (folder / RANKS).is_file() else float("nan")
    pieces = [
        "## What can be known of a shopper: the Bayes filter\n",
        "The Bayes filter knows the rules of the world and the attributes of the items, as the "
        "oracle does, but of a shopper only the observed events, and computes the probabilities of "
        "the hidden state by Bayes' rule. With the shopper inferred and the time of the query "
        "unknown it may use what a time-blind model may use, so it is the better measure of what "
        "is left to gain. It is an approximation for an inferred shopper: a better one could rank "
        f"better still. The oracle ({oracle:.4f}) also knows the hidden intents. Recorded by "
        f"`{runs['command'].iloc[0]}`; {runs['questions'].iloc[0]:,} questions, intervals are 95 % "
        "bootstrap over users.\n",
        markdown_table(knowledge_table(runs, oracle)),
        "",
    ]
    ablations = ablation_table(runs)
    if len(ablations) > 1:
        pieces += [
            "The same filter (shopper inferred, time unknown) with a part of the world left out of "
            "its rules. *Context* is that an item follows the last one of its intent: complements, "
            "series, the same creator. *Exhaustion* is that an item that was met is rarely met "
            "again, so that a shelf runs empty. *Second intent* is that a shopper pursues two "
            "intents at once. *Style and level* are the shopper's preferences for them.\n",
            markdown_table(ablations),
            "",
        ]
    return "\n".join(pieces)


def _with_interval(row: dict[Any, Any]) -> str:
    return f"{row['ndcg@10']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
