"""Runs that take longer than a chapter may: started by hand, cut off at will, gone on with.

    python -m m6rec_lite.course.long_runs SASRec --dataset ml-1m --set epochs=200 patience=20

fits the model with its defaults and the settings named, stops on validation, judges on test, and
writes ``results/<model>/<dataset>-<settings>-seed<n>/``: ``config.json``, ``curve.csv`` (an epoch a
line, while it runs) and ``report.json`` (at the end, beside the plain bigram on the same split).
The row also enters ``results/leaderboard/``. Checkpoints lie in ``runs/`` and are not committed:
the same command goes on from the last one. The curve's seconds count only what was run.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from m6rec_lite.course.leaderboard import Leaderboard, write_text
from m6rec_lite.course.places import project_root
from m6rec_lite.data import Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import Cost, Report, compare, evaluate, fit_and_evaluate
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.recommenders import BERT4Rec, Bigram, GRU4Rec, SASRec
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.training import Callback, Run

MODELS: dict[str, type[NextItemRecommender]] = {
    "BERT4Rec": BERT4Rec,
    "GRU4Rec": GRU4Rec,
    "M6RecRetriever": M6RecRetriever,
    "SASRec": SASRec,
}


class Curve(Callback):
    """Writes the history of a run to a CSV file after each epoch.

    Args:
        path: the file; written anew as a whole each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Write what there is so far; on several processes the first one writes."""
        if run.accelerator.is_main_process:
            text = run.history.frame().to_csv(index=False, float_format="%.6g")
            write_text(self.path, text)


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """``["epochs=5", "loss=bce"]`` as a dict; values are read as JSON, else as text.

    Raises:
        ValueError: if one is not of the form name=value.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise ValueError(f"settings are given as name=value, got {pair!r}")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


def long_run(
    model: NextItemRecommender,
    split: Split,
    root: Path,
    *,
    command: str,
    items: pd.DataFrame | None = None,
    progress: bool = True,
) -> Report:
    """Fit, or go on fitting, then judge on test and write all of it under ``root/results``.

    Args:
        model: not fitted yet.
        split: what to learn from, to stop on and to be judged by.
        root: the project's folder.
        command: what makes this again.
        items: the data set's items, for a model that reads them.
        progress: show bars.

    Returns:
        The report on test.
    """
    variant = " ".join(re.sub(rf"\bseed={model.seed}\b", "", model.variant).split())
    said = re.sub(r"[^\w.=-]+", "-", variant)
    name = "-".join(filter(None, (split.dataset, said, f"seed{model.seed}")))
    out = root / "results" / model.name.lower() / name
    checkpoint = root / "runs" / "long" / model.name.lower() / name
    config = {
        "model": model.name,
        "settings": model.get_params(),
        "dataset": split.dataset,
        "split_hash": split.hash,
        "command": command,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
    }
    write_text(out / "config.json", json.dumps(config, indent=2) + "\n")
    curve = Curve(out / "curve.csv")
    model.fit(
        split.train,
        validation=split.validation,
        items=items,
        checkpoint=checkpoint,
        callbacks=[curve],
        progress=progress,
    )
    history = model.history.frame()
    write_text(curve.path, history.to_csv(index=False, float_format="%.6g"))
    cost = Cost(float(history["seconds"].sum()), float("nan"))
    report = evaluate(model, split, fit_cost=cost, progress=progress)
    plain = fit_and_evaluate(Bigram(), split, progress=False)
    found = written(report, plain, history)
    write_text(out / "report.json", json.dumps(found, indent=2) + "\n")
    board = Leaderboard(root / "results" / "leaderboard")
    board.add(report, scale="laptop", seed=model.seed, variant=variant, command=command)
    return report


def written(report: Report, plain: Report, history: pd.DataFrame) -> dict[str, Any]:
    """What ``report.json`` holds: figures with intervals, the best epoch, and the plain bigram."""
    against = compare(report, plain)
    best = history.loc[history["ndcg@10"].idxmax()]
    return {
        "on": report.on,
        "n_users": report.n_users,
        "metrics": {key: round(value, 6) for key, value in report.metrics.items()},
        "intervals": {key: [round(v, 6) for v in both] for key, both in report.intervals.items()},
        "costs": {key: round(float(value), 3) for key, value in report.costs.items()},
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "validation ndcg@10": round(float(best["ndcg@10"]), 6),
        "median seconds an epoch": round(float(history["seconds"].median()), 3),
        "bigram ndcg@10": round(plain["ndcg@10"], 6),
        "times the bigram's ndcg@10": round(report["ndcg@10"] / plain["ndcg@10"], 4),
        "more than the bigram, paired": {
            "mean": round(against.mean_difference, 6),
            "low": round(against.low, 6),
            "high": round(against.high, 6),
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    try:
        model = MODELS[options.model](**settings(options.set), seed=options.seed)
        dataset = load_dataset(options.dataset)
        split = leave_one_out(dataset)
    except (ValueError, TypeError, OSError) as error:
        sys.stderr.write(f"long_runs: {error}\n")
        return 2
    command = f"python -m m6rec_lite.course.long_runs {options.model} --dataset {options.dataset}"
    command += f" --seed {options.seed}" + (
        f" --set {' '.join(options.set)}" if options.set else ""
    )
    report = long_run(model, split, project_root(), command=command, items=dataset.items)
    print(report)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
