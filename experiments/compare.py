"""Compare two recorded runs by a paired test over users, from their saved ranks.

    python -m experiments compare 078b4b8d a75e5b0c --metric ndcg@10

prints the mean difference (first minus second), its 95 % interval and the p-value. Both runs must
have the same data set, split and users. ``results/runs.csv`` shows which runs have ranks.
"""

from __future__ import annotations

import argparse

import numpy as np

from experiments.records import CONFIG, RANKS, Records
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.rank_files import read_ranks
from m6rec_lite.evaluation.ranking import accuracy
from m6rec_lite.evaluation.significance import paired_test


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("ids", nargs=2, metavar="ID", help="folders of results/runs")
    parser.add_argument("--metric", default="ndcg@10")


def run(options: argparse.Namespace) -> None:
    """Print the paired test of two runs."""
    first_id, second_id = options.ids
    records = Records(options.root / "results")
    what, first, second = paired_values(records, first_id, second_id, options.metric)
    print(f"{first.mean():.4f} and {second.mean():.4f}")
    print(paired_test(first, second, what=what))


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
    k = int(metric.partition("@")[2] or 10)
    names, splits, users, values = [], [], [], []
    for run_id in (first, second):
        folder = records.runs / run_id
        if not (folder / RANKS).is_file():
            raise ValueError(f"run {run_id!r} has no {RANKS}: see the column ranks of runs.csv")
        config = read_json(folder / CONFIG)
        names.append(f"{config['model']} ({config['variant']})".removesuffix(" ()"))
        splits.append((config["dataset"], config["split_hash"]))
        ids, ranks = read_ranks(folder / RANKS)
        metrics = accuracy(ranks, (k,))
        if metric not in metrics:
            raise ValueError(f"no metric {metric!r}; there are {', '.join(metrics)}")
        users.append(ids)
        values.append(metrics[metric])
    if splits[0] != splits[1] or not np.array_equal(users[0], users[1]):
        raise ValueError(f"the runs have different test sets: {splits[0]} and {splits[1]}")
    return f"{metric}: {' - '.join(names)}", values[0], values[1]
