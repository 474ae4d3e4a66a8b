"""Compare two recorded runs by a paired test over users, from their saved ranks.

    python -m experiments compare ccdb9c3f 71486f40 --metric ndcg@10

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
from m6rec_lite.evaluation.significance import paired_test


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("ids", nargs=2, metavar="ID", help="folders of results/runs")
    parser.add_argument("--metric", default="ndcg@10")


def run(options: argparse.Namespace) -> None:
    """Print the paired test of two runs."""
    records = Records(options.root / "results")
    k = int(options.metric.partition("@")[2] or 10)
    names, splits, users, values = [], [], [], []
    for run_id in options.ids:
        folder = records.runs / run_id
        if not (folder / RANKS).is_file():
            raise ValueError(f"run {run_id!r} has no {RANKS}: see the column ranks of runs.csv")
        config = read_json(folder / CONFIG)
        names.append(f"{config['model']} ({config['variant']})".removesuffix(" ()"))
        splits.append((config["dataset"], config["split_hash"]))
        ids, ranks = read_ranks(folder / RANKS)
        metrics = accuracy(ranks, (k,))
        if options.metric not in metrics:
            raise ValueError(f"no metric {options.metric!r}; there are {', '.join(metrics)}")
        users.append(ids)
        values.append(metrics[options.metric])
    if splits[0] != splits[1] or not np.array_equal(users[0], users[1]):
        raise ValueError(f"the runs have different test sets: {splits[0]} and {splits[1]}")
    what = f"{options.metric}: {' - '.join(names)}"
    print(f"{values[0].mean():.4f} and {values[1].mean():.4f}")
    print(replace(paired_test(values[0], values[1]), what=what))
