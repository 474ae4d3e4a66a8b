"""Recorded runs of the experiment ``people``: NDCG@10 against the number of people trained on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

EXPERIMENT = "people"


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
    settings = runs.groupby(["name", "people", "variant"])[["validation", metric]].mean()
    ordered = settings.sort_values("validation", kind="stable")
    return ordered.reset_index().pivot_table(metric, "people", "name", aggfunc="last")


def _best_epoch(folder: Path) -> float:
    """Return the best validation NDCG@10 of a network's epochs; 0 of a run without epochs."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return 0.0
    epochs = pd.read_json(path, lines=True)
    return float(epochs["ndcg@10"].max()) if "ndcg@10" in epochs else 0.0
