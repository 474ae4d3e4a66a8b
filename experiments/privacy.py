"""Train a recommender with differential privacy, or against changes: NDCG, attacks, intervals.

    python -m experiments privacy --seeds 0 1 2

``text``, ``ids``: ``BagRecommender`` of texts or ids, not trained, trained without privacy, with
clipped gradients, and with DP-SGD at epsilon 10, 3 and 1, on the rows of 80 % of the people.
NDCG@10 is that of the test questions of all people; the membership attack compares the losses of
900 members with those of the other people. ``robust``: plain, adversarial and contrastive training,
and plain training at twice the rate, since adversarial training adds a second loss. Each is judged
on clean questions, with item vectors moved in the worst direction, and with half of the events
replaced by random ones. What is recorded is skipped. ``results/privacy/DATASET.csv`` has the means
of the recorded seeds with 95 % t intervals.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from experiments.records import REPORT, Records, RunKey, summary
from m6rec_lite.data import Dataset, Split, leave_one_out, load_dataset
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import Ranker, evaluate, fit_and_evaluate
from m6rec_lite.recommenders import BagRecommender
from m6rec_lite.trust import (
    Perturbed,
    PrivateBagRecommender,
    RobustBagRecommender,
    membership_attack,
    next_item_losses,
    replace_events,
    under_attack,
)

#: Settings of the two inputs, chosen on the validation questions of ``bazaar`` without privacy.
INPUTS: dict[str, dict[str, Any]] = {
    "text": {"item_input": "text"},
    "ids": {"item_input": "ids", "factors": 32},
}
#: What is changed, by the name of the change.
PRIVATE: dict[str, dict[str, Any]] = {
    "no privacy": {},
    "epsilon 3": {"epsilon": 3.0},
    "not trained": {"steps": 0},
    "epsilon 1": {"epsilon": 1.0},
    "epsilon 10": {"epsilon": 10.0},
    "clipped": {"epsilon": math.inf},
}
ROBUST: dict[str, dict[str, Any]] = {
    "plain": {},
    "twice the rate": {"lr": 200.0},
    "adversarial": {"radius": 0.2},
    "contrastive": {"contrast": 0.1},
}
PARTS = ("text", "robust", "ids")
LEVELS = ("not trained", "no privacy", "clipped", "epsilon 10", "epsilon 3", "epsilon 1")
PRIVATE_NAMES = [f"{part}, {level}" for part in INPUTS for level in LEVELS]
ROBUST_NAMES = [f"text, {change}" for change in ROBUST]
METRICS = ["ndcg@10", "membership_auc", "ndcg@10_attacked", "ndcg@10_replaced"]
MODEL = "BagRecommender"  #: of all records; the variant says how it was trained
MEMBER_SHARE = 0.8
RADIUS, REPLACED = 0.3, 0.5  #: of the changes under which ``robust`` is judged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))


def run(options: argparse.Namespace) -> None:
    """Train and evaluate what is not recorded."""
    dataset = load_dataset(options.dataset)
    split = leave_one_out(dataset)
    for part in options.parts:
        for change, more in (ROBUST if part == "robust" else PRIVATE).items():
            for seed in options.seeds:
                if part == "robust":
                    robust_run(f"text, {change}", more, seed, dataset, split, options)
                else:
                    settings = INPUTS[part] | more
                    private_run(f"{part}, {change}", settings, seed, dataset, split, options)
    write_table(options.root / "results", split.dataset)


def write_table(results: Path, dataset: str) -> pd.DataFrame:
    """Write the means over seeds of all recorded runs of a data set, as text with intervals."""
    records = Records(results)
    frame = records.frame().query("experiment == 'privacy' and dataset == @dataset")
    reports = [read_json(records.runs / run / REPORT)["metrics"] for run in frame["id"]]
    metrics = pd.DataFrame(reports, index=frame["variant"]).reindex(columns=METRICS)
    rows = {}
    for variant, values in metrics.groupby(level=0, sort=False):
        part = variant.partition(", ")[0] if variant in PRIVATE_NAMES else "robust"
        rows[variant] = {"part": part, "seeds": len(values)}
        rows[variant] |= {name: _interval(values[name].dropna()) for name in METRICS}
    order = [variant for variant in (*PRIVATE_NAMES, *ROBUST_NAMES) if variant in rows]
    table = pd.DataFrame(rows).T.reindex(order)
    path = results / "privacy" / f"{dataset}.csv"
    write_text(path, table.to_csv(index_label="variant"))
    return table


def _interval(values: pd.Series) -> str:
    """Return a mean with the 95 % t interval over seeds, as text; empty without values."""
    if len(values) < 2:
        return "".join(f"{value:.4f}" for value in values)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / math.sqrt(len(values))
    mean = values.mean()
    return f"{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]"


def private_run(
    variant: str,
    settings: dict[str, Any],
    seed: int,
    dataset: Dataset,
    split: Split,
    options: argparse.Namespace,
) -> None:
    """Train on a random part of the people, evaluate, and attack, unless it is recorded."""
    train = split.train
    order = np.random.default_rng([seed, 80]).permutation(train.n_users)
    members, others = np.split(order, [int(MEMBER_SHARE * train.n_users)])
    rows = np.isin(train.users, members)
    part = replace(split, train=train.select(rows))
    kind = PrivateBagRecommender if "epsilon" in settings else BagRecommender
    model = kind(**settings, seed=seed)
    key = RunKey("privacy", split.dataset, MODEL, variant, seed)
    if _skips(key, options):
        return
    report = fit_and_evaluate(model, part, items=dataset.items, bootstrap=0, progress=False)
    histories = train.histories()
    losses = [next_item_losses(model, histories[group]) for group in (members[:900], others)]
    attack = membership_attack(*(each[np.isfinite(each)] for each in losses))
    measured = {
        "membership_auc": attack.auc,
        "membership_advantage": attack.advantage,
        "noise_multiplier": getattr(model, "noise_multiplier_", 0.0),
    }
    _finish(key, model, summary(report), measured, split, options)


def robust_run(
    variant: str,
    settings: dict[str, Any],
    seed: int,
    dataset: Dataset,
    split: Split,
    options: argparse.Namespace,
) -> None:
    """Train on all people, and evaluate on clean and changed inputs, unless it is recorded."""
    model = RobustBagRecommender(**settings, seed=seed)
    key = RunKey("privacy", split.dataset, MODEL, variant, seed)
    if _skips(key, options):
        return
    report = fit_and_evaluate(model, split, items=dataset.items, bootstrap=0, progress=False)
    changed: dict[str, Ranker] = {
        "ndcg@10_attacked": under_attack(model, split.train, RADIUS),
        "ndcg@10_replaced": Perturbed(model, lambda h: replace_events(h, REPLACED, seed=seed)),
    }
    measured = {
        name: evaluate(ranker, split, k=10, bootstrap=0, progress=False)["ndcg@10"]
        for name, ranker in changed.items()
    }
    _finish(key, model, summary(report), measured, split, options)


def _skips(key: RunKey, options: argparse.Namespace) -> bool:
    """Return whether a run is recorded already and not wanted again."""
    recorded = Records(options.root / "results").is_recorded(key) and not options.again
    if recorded:
        print(f"{key.variant}, seed {key.seed} is recorded: results/runs/{key.id}", flush=True)
    return recorded


def _finish(
    key: RunKey,
    model: BagRecommender,
    report: dict[str, Any],
    measured: dict[str, float],
    split: Split,
    options: argparse.Namespace,
) -> None:
    """Record a run."""
    records = Records(options.root / "results")
    command = options.command
    records.start(key, command=command, split_hash=split.hash, settings=model.get_params())
    rounded = {name: round(float(value), 6) for name, value in measured.items()}
    report["metrics"] |= rounded
    records.finish(key, report | {"headline": rounded})
    print(f"{key.variant}, seed {key.seed}: {report['metrics']['ndcg@10']} {rounded}", flush=True)
