"""Train one sequential recommender until early stopping and evaluate it on test.

    python -m experiments long_runs SASRec --dataset ml-1m --set epochs=200 patience=20

fits the model with the given settings, stops on validation, compares it on test with the plain
bigram, and records the run (``experiments.records``) and its leaderboard row. Checkpoints are in
``runs/long``, which git ignores; the same command continues from the last one. The seconds of the
history do not include interruptions.

``--dataset`` is also the path of a file; ``--read`` gives arguments of ``load_dataset``, such as
``--read timestamp=row``. Its runs are recorded under the name of the data set.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.arguments import add_settings_argument, read_settings
from experiments.records import METRICS, Records, RunKey, summary, write_history
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.data import Split, leave_one_out, load_dataset
from m6rec_lite.data.load import NAMES
from m6rec_lite.evaluation import Cost, Report, compare, evaluate, fit_and_evaluate
from m6rec_lite.m6rec.full_text_retriever import FullTextRetriever
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.recommenders import BERT4Rec, Bigram, GRU4Rec, SASRec
from m6rec_lite.recommenders.sequential.sequence_recommender import SequenceRecommender
from m6rec_lite.training import Callback, Run

MODELS: dict[str, type[SequenceRecommender]] = {
    "BERT4Rec": BERT4Rec,
    "FullTextRetriever": FullTextRetriever,
    "GRU4Rec": GRU4Rec,
    "M6RecRetriever": M6RecRetriever,
    "SASRec": SASRec,
}


class HistoryFile(Callback):
    """Write the history of a run to a file after each epoch.

    Args:
        path: the file; rewritten after each epoch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Write the epochs so far, in the main process only."""
        if run.accelerator.is_main_process:
            write_history(self.path, run.history.frame())


def key_of(model: SequenceRecommender, dataset: str) -> RunKey:
    """Return the key of a model's run; its variant does not contain the seed."""
    variant = " ".join(re.sub(rf"\bseed={model.seed}\b", "", model.variant).split())
    return RunKey("long_runs", dataset, model.name, variant, model.seed)


def long_run(
    model: SequenceRecommender,
    split: Split,
    root: Path,
    *,
    command: str,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    on_board: bool = True,
    progress: bool = True,
) -> Report:
    """Fit a model or continue its fit, evaluate it on test, and record the run.

    Args:
        model: an unfitted model.
        split: training rows, validation and test set.
        root: the project's folder.
        command: command that repeats this run.
        items: the data set's items, for models that use them.
        users: the data set's users, for models that use them.
        on_board: whether to add the row to the leaderboard.
        progress: whether to show progress bars.

    Returns:
        The report on test.
    """
    key, records = key_of(model, split.dataset), Records(root / "results")
    folder = records.start(key, command=command, settings=model.get_params(), split_hash=split.hash)
    model.fit(
        split.train,
        validation=split.validation,
        items=items,
        users=users,
        checkpoint=root / "runs" / "long" / key.id,
        callbacks=[HistoryFile(folder / METRICS)],
        progress=progress,
    )
    history = model.history.frame()
    cost = Cost(float(history["seconds"].sum()), float("nan"))
    report = evaluate(model, split, fit_cost=cost, progress=progress)
    plain = fit_and_evaluate(Bigram(), split, progress=False)
    records.finish(
        key,
        summary(report) | compare_with_bigram(report, plain, history),
        history=history,
        ranks=report,
    )
    if on_board:
        board = Leaderboard(root / "results" / "leaderboard")
        board.add(report, scale="laptop", seed=key.seed, variant=key.variant, command=command)
    return report


def compare_with_bigram(report: Report, plain: Report, history: pd.DataFrame) -> dict[str, Any]:
    """Return the best epoch of a run and its comparison with the plain bigram."""
    difference = compare(report, plain)
    best = history.loc[history["ndcg@10"].idxmax()]
    return {
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "validation ndcg@10": round(float(best["ndcg@10"]), 6),
        "median seconds an epoch": round(float(history["seconds"].median()), 3),
        "bigram ndcg@10": round(plain["ndcg@10"], 6),
        "times the bigram's ndcg@10": round(report["ndcg@10"] / plain["ndcg@10"], 4),
        "more than the bigram, paired": {
            "mean": round(difference.mean_difference, 6),
            "low": round(difference.low, 6),
            "high": round(difference.high, 6),
        },
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--dataset", default="ml-1m", help="a name, or the path of a file")
    help_of_read = "arguments of load_dataset for a file, such as timestamp=row"
    parser.add_argument("--read", nargs="*", default=[], metavar="NAME=VALUE", help=help_of_read)
    parser.add_argument("--seed", type=int, default=0)
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Train and evaluate one model, unless the run is recorded."""
    model = MODELS[options.model](**read_settings(options.set), seed=options.seed)
    reading = read_settings(options.read)
    dataset = None if options.dataset in NAMES else load_dataset(options.dataset, **reading)
    key = key_of(model, options.dataset if dataset is None else dataset.name)
    if not options.again and Records(options.root / "results").is_recorded(key):
        print(f"recorded before: results/runs/{key.id} (--again repeats it)")
        return
    if dataset is None:
        dataset = load_dataset(options.dataset, **reading)
    report = long_run(
        model,
        leave_one_out(dataset),
        options.root,
        command=options.command,
        items=dataset.items,
        users=dataset.users,
        progress=not options.quiet,
    )
    print(report)
