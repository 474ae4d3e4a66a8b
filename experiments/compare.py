"""Compare two recorded runs by a paired test over users, from their saved ranks.

    python -m experiments compare 078b4b8d a75e5b0c --metric ndcg@10

prints the mean difference (first minus second), its 95 % interval and the p-value. Both runs must
have the same data set, split and users. ``results/runs.csv`` shows which runs have ranks.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from experiments.records import CONFIG, RANKS, Records
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.rank_files import read_ranks
from m6rec_lite.evaluation.ranking import accuracy
from m6rec_lite.evaluation.significance import PairedTest, paired_test


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("ids", nargs=2, metavar="ID", help="folders of results/runs")
    parser.add_argument("--metric", default="ndcg@10")


def run(options: argparse.Namespace) -> None:
    """Print the paired test of two runs."""
    means, test = compare_runs(Records(options.root / "results"), options.ids, options.metric)
    print(f"{means[0]:.4f} and {means[1]:.4f}")
    print(test)


def compare_runs(
    records: Records, ids: list[str], metric: str = "ndcg@10"
) -> tuple[list[float], PairedTest]:
    """Compare two recorded runs.

    Args:
        records: that contain both runs.
        ids: of the two runs.
        metric: such as ``ndcg@10``.

    Returns:
        The mean of each run, and the paired test of the first minus the second.

    Raises:
        ValueError: if a run has no ranks, the metric is unknown, or the test sets differ.
    """
    k = int(metric.partition("@")[2] or 10)
    names, splits, users, values = [], [], [], []
    for run_id in ids:
        folder = records.runs / run_id
        if not (folder / RANKS).is_file():
            raise ValueError(f"run {run_id!r} has no {RANKS}: see the column ranks of runs.csv")
        config = read_json(folder / CONFIG)
        names.append(f"{config['model']} ({config['variant']})".removesuffix(" ()"))
        splits.append((config["dataset"], config["split_hash"]))
        user_ids, ranks = read_ranks(folder / RANKS)
        metrics = accuracy(ranks, (k,))
        if metric not in metrics:
            raise ValueError(f"no metric {metric!r}; there are {', '.join(metrics)}")
        users.append(user_ids)
        values.append(metrics[metric])
    if splits[0] != splits[1] or not np.array_equal(users[0], users[1]):
        raise ValueError(f"the runs have different test sets: {splits[0]} and {splits[1]}")
    what = f"{metric}: {' - '.join(names)}"
    test = replace(paired_test(values[0], values[1]), what=what)
    return [float(each.mean()) for each in values], test
