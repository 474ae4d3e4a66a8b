"""Compare two recorded runs by a paired test over users, from their saved ranks.

    python -m experiments compare ccdb9c3f 71486f40 --metric ndcg@10

prints the mean difference (first minus second), its 95 % interval and the p-value. Both runs must
have the same data set, split and users. ``results/runs.csv`` shows which runs have ranks.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

from experiments.records import CONFIG, RANKS, Records
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import accuracy, paired_test
from m6rec_lite.evaluation.rank_files import read_ranks


def user_metric(folder: Path, metric: str = "ndcg@10") -> pd.Series:
    """Return a metric of each user of a recorded run, by original user id.

    Args:
        folder: folder of the run.
        metric: name of the metric, such as ``hr@20``.

    Raises:
        ValueError: if the run has no ranks, or there is no such metric.
    """
    if not (folder / RANKS).is_file():
        raise ValueError(f"run {folder.name!r} has no {RANKS}: see the column ranks of runs.csv")
    users, ranks = read_ranks(folder / RANKS)
    metrics = accuracy(ranks, (int(metric.partition("@")[2] or 10),))
    if metric not in metrics:
        raise ValueError(f"no metric {metric!r}; there are {', '.join(metrics)}")
    return pd.Series(metrics[metric], index=users, name=metric)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("ids", nargs=2, metavar="ID", help="folders of results/runs")
    parser.add_argument("--metric", default="ndcg@10")


def run(options: argparse.Namespace) -> None:
    """Print the paired test of two runs."""
    records = Records(options.root / "results")
    names, splits, values = [], [], []
    for run_id in options.ids:
        values.append(user_metric(records.runs / run_id, options.metric))
        config = read_json(records.runs / run_id / CONFIG)
        names.append(f"{config['model']} ({config['variant']})".removesuffix(" ()"))
        splits.append((config["dataset"], config["split_hash"]))
    first, second = values
    if splits[0] != splits[1] or not first.index.equals(second.index):
        raise ValueError(f"the runs have different test sets: {splits[0]} and {splits[1]}")
    what = f"{options.metric}: {' - '.join(names)}"
    print(f"{first.mean():.4f} and {second.mean():.4f}")
    print(replace(paired_test(first.to_numpy(), second.to_numpy()), what=what))
