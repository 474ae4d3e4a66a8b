"""Compare two recorded runs by a paired test over users, from their saved ranks.

    python -m experiments compare ccdb9c3f 71486f40 --metric ndcg@10

prints the mean difference (first minus second), its 95 % interval and the p-value. Both runs must
have the same data set, split and users. ``results/runs.csv`` shows which runs have ranks.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.records import CONFIG, RANKS, Records
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import PairedTest, accuracy, paired_test
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
    first_id, second_id = options.ids
    means, test = compare_runs(
        Records(options.root / "results"), first_id, second_id, options.metric
    )
    print(f"{means[0]:.4f} and {means[1]:.4f}")
    print(test)


def compare_runs(
    records: Records, first: str, second: str, metric: str = "ndcg@10"
) -> tuple[tuple[float, float], PairedTest]:
    """Compare two recorded runs.

    Args:
        records: that contain both runs.
        first: id of a run.
        second: id of another one.
        metric: such as ``ndcg@10``.

    Returns:
        The mean of each run, and the paired test of the first minus the second.

    Raises:
        ValueError: see ``paired_values``.
    """
    what, ours, theirs = paired_values(records, first, second, metric)
    means = float(ours.mean()), float(theirs.mean())
    return means, replace(paired_test(ours, theirs), what=what)


def paired_values(
    records: Records, first: str, second: str, metric: str
) -> tuple[str, np.ndarray, np.ndarray]:
    """Return a label of the comparison, and each user's metric in two recorded runs.

    Args:
        records: the recorded runs.
        first: id of a run with ranks.
        second: id of another run on the same test set.
        metric: name of a metric of one target, such as ``ndcg@10``.

    Raises:
        ValueError: if a run has no ranks, the metric is unknown, or the test sets differ.
    """
    names, splits, values = [], [], []
    for run_id in (first, second):
        values.append(user_metric(records.runs / run_id, metric))
        config = read_json(records.runs / run_id / CONFIG)
        names.append(f"{config['model']} ({config['variant']})".removesuffix(" ()"))
        splits.append((config["dataset"], config["split_hash"]))
    if splits[0] != splits[1] or not values[0].index.equals(values[1].index):
        raise ValueError(f"the runs have different test sets: {splits[0]} and {splits[1]}")
    return f"{metric}: {' - '.join(names)}", values[0].to_numpy(), values[1].to_numpy()
