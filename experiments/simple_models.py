"""Fit the simple models with default settings and save the ranks of their test targets.

    python -m experiments simple_models --dataset bazaar
    python -m experiments simple_models --dataset bazaar-large --models Bigram EASE Oracle

fits every model of ``m6rec_lite.course.build.quick_models``, or those that are named, on the
default split and records it, and the oracle if there is one. A recorded model is skipped. Missing
leaderboard rows are added.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from tqdm.auto import tqdm

from experiments.records import Records, RunKey, summary
from m6rec_lite.course.build.quick_models import quick_models
from m6rec_lite.course.leaderboard import KEY, Leaderboard
from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.data.result_files import has_row
from m6rec_lite.evaluation import evaluate, fit_and_evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", metavar="NAME", help="names of models; else all")


def run(options: argparse.Namespace) -> None:
    """Fit and evaluate each model that is not recorded.

    Raises:
        ValueError: if there is no model of a name.
    """
    results = options.root / "results"
    records, board = Records(results), Leaderboard(results / "leaderboard")
    dataset = load_dataset(options.dataset)
    split = leave_one_out(dataset)
    models = quick_models(options.seed)
    if dataset.oracle is not None:
        models.append(dataset.oracle.recommender(split.item_ids))
    if options.models:
        names = {model.name for model in models}
        if unknown := set(options.models) - names:
            raise ValueError(f"--models takes {', '.join(sorted(names))}, not {unknown.pop()!r}")
        models = [model for model in models if model.name in options.models]
    common: dict[str, Any] = {"items": dataset.items, "seed": options.seed, "progress": False}
    with tqdm(models, disable=options.quiet, leave=False) as bar:
        for model in bar:
            bar.set_description(f"{dataset.name}: {model.name}")
            variant = getattr(model, "variant", "")
            key = RunKey("simple_models", dataset.name, model.name, variant, options.seed)
            if records.is_recorded(key) and not options.again:
                continue
            try:
                fit = fit_and_evaluate if hasattr(model, "fit") else evaluate
                report = fit(model, split, **common)
            except (ValueError, KeyError) as error:  # such as no item texts
                sys.stderr.write(f"{model.name} is skipped: {error}\n")
                continue
            settings = model.get_params() if hasattr(model, "get_params") else {}
            records.start(key, command=options.command, settings=settings, split_hash=split.hash)
            records.finish(key, summary(report), ranks=report)
            row = report.to_row(scale="laptop", seed=options.seed, command=options.command)
            if options.again or not has_row(board.path(dataset.name), row, KEY):
                board.add(row)
    shown = records.frame()
    same = (shown["experiment"] == "simple_models") & (shown["dataset"] == dataset.name)
    columns = ["id", "model", "variant", "hr@10", "ndcg@10", "ranks"]
    print(shown.loc[same, columns].to_string(index=False))
