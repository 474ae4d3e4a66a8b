"""Recorded runs of the experiment ``people``: NDCG@10 against the number of people trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.evaluation import ndcg, paired_test, read_ranks

EXPERIMENT, RANKS = "people", "ranks.npz"


def people_curves(results: Path, dataset: str, metric: str = "ndcg@10") -> pd.DataFrame:
    """Return a metric by the number of people that a model was trained on.

    All runs of a data set answer the same questions. Of several settings of a model at one number
    of people, those with the best validation NDCG@10 are shown (the best epoch, a mean over seeds);
    test metrics select nothing.

    Args:
        results: folder with ``runs.csv`` and ``runs/``.
        dataset: the data set whose questions are asked.
        metric: a column of ``runs.csv``.

    Returns:
        A row for each number of people, a column for each model, with its item input if that is
        not text and ids; NaN where a model was not run. Empty if nothing is recorded.
    """
    runs = _chosen_runs(results, dataset)
    return runs.pivot_table(metric, "people", "name") if len(runs) else runs


def people_differences(results: Path, dataset: str, first: str, second: str) -> pd.DataFrame:
    """Return the difference in NDCG@10 of two columns of ``people_curves``, paired over users.

    Args:
        results: folder with ``runs.csv`` and ``runs/``, with the ranks of the runs.
        dataset: the data set whose questions are asked.
        first: name of a column.
        second: name of the column that is subtracted.

    Returns:
        A row for each number of people with both: ``difference low high`` (95 % interval over
        users; seeds are averaged).
    """
    runs = _chosen_runs(results, dataset)
    rows = {}
    for people, at in runs.groupby("people") if len(runs) else ():
        sides = [at.loc[at["name"] == name, "id"] for name in (first, second)]
        if all(map(len, sides)):
            ours, theirs = (
                np.mean([ndcg(read_ranks(results / "runs" / run / RANKS)[1], 10) for run in ids], 0)
                for ids in sides
            )
            test = paired_test(ours, theirs)
            rows[people] = [test.mean_difference, test.low, test.high]
    columns = ["difference", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("people")


def _chosen_runs(results: Path, dataset: str) -> pd.DataFrame:
    """Return the runs of each model and number of people with the settings of best validation."""
    path = results / "runs.csv"
    if not path.is_file():
        return pd.DataFrame()
    runs = pd.read_csv(path)
    runs = runs[(runs["experiment"] == EXPERIMENT) & (runs["dataset"] == dataset)]
    variant = runs["variant"].astype(str)
    inputs = variant.str.extract(r"item_input=(\w+)", expand=False).fillna("")
    runs = runs.assign(
        people=variant.str.extract(r"^(\d+) people", expand=False).astype(int),
        name=(runs["model"] + " " + inputs).str.replace("both", "").str.strip(),
        validation=[_best_epoch(results / "runs" / run) for run in runs["id"]],
    )
    means = runs.groupby(["name", "people", "variant"])["validation"].mean()
    best = (
        means.sort_values(kind="stable")
        .reset_index()
        .drop_duplicates(["name", "people"], keep="last")
    )
    return runs.merge(best[["name", "people", "variant"]])


def _best_epoch(folder: Path) -> float:
    """Return the best validation NDCG@10 of a network's epochs; 0 of a run without epochs."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return 0.0
    epochs = pd.read_json(path, lines=True)
    return float(epochs["ndcg@10"].max()) if "ndcg@10" in epochs else 0.0
