"""Evaluation of a pretrained and tuned M6-Rec on a dataset, task by task."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation import Cost, compare, evaluate, fit_and_evaluate
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.m6rec.tasks import Task
from m6rec_lite.m6rec.tasks.full_ranking import ranking_figures
from m6rec_lite.m6rec.tuning import TuningData
from m6rec_lite.recommenders import Bigram


def evaluate_task(
    task: Task, model: M6RecModel, dataset: TuningData, *, limit: int, rows: int
) -> dict[str, Any]:
    """Evaluate a task and its baselines on test examples.

    Args:
        task: tuned, or one that needs no tuning.
        model: of the task.
        dataset: of the run.
        limit: maximum number of test examples, times the task's ``test_factor``.
        rows: maximum number of training examples, for the baselines.

    Returns:
        ``rows``, the settings selected on validation, the task's metrics, and ``beside`` those of
        each baseline.
    """
    data, prompts = dataset
    examples = task.build_examples(data, prompts, "test", limit=limit * task.test_factor)
    if not len(examples):
        return {"rows": 0}
    chosen = task.choose(model, data, prompts, max(1, limit // 4))
    figures = task.evaluate(task.predict(model, examples), examples, data)
    train = task.build_examples(data, prompts, limit=rows)
    beside = {
        name: task.evaluate(outputs, examples, data)
        for name, outputs in task.baselines(train, examples, data).items()
    }
    return {"rows": len(examples)} | chosen | figures | {"beside": beside}


def evaluate_retriever(
    dataset: TuningData,
    folder: Path,
    out: Path,
    *,
    variant: str,
    command: str,
    scale: str,
    epochs: int,
    device: str | None,
    progress: bool,
) -> dict[str, float]:
    """Fit the retriever from the pretrained folder, evaluate it, and write its leaderboard row.

    Args:
        dataset: of the run.
        folder: of the pretrained model.
        out: of the run: checkpoints and ``leaderboard/`` are written there.
        variant: name in the leaderboard.
        command: that repeats the run, for the leaderboard.
        scale: of the run, for the leaderboard.
        epochs: maximum number; training stops early by the validation metric.
        device: see ``M6RecRetriever``.
        progress: show progress bars.

    Returns:
        Its metrics on test, and the bigram's on the same queries.
    """
    data, seed = dataset.data, dataset.data.seed
    model = M6RecRetriever(model=str(folder), epochs=epochs, seed=seed, device=device)
    model.fit(
        data.split.train,
        validation=data.split.validation,
        items=data.dataset.items,
        checkpoint=out / "retrieval" / dataset.tag,
        progress=progress,
    )
    cost = Cost(float(sum(model.history["seconds"])), math.nan)
    report = evaluate(model, data.split, fit_cost=cost, oracle=data.oracle, progress=progress)
    row = report.to_row(scale=scale, seed=seed, command=command) | {"variant": variant}
    table = pd.DataFrame([row]).to_csv(index=False, float_format="%.12g")
    path = out / "leaderboard" / f"{report.dataset.replace('/', '-')}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, table)
    bigram = fit_and_evaluate(Bigram(), data.split, progress=False)
    difference = compare(report, bigram)
    return ranking_figures(report) | {
        "epochs": len(model.history),
        "seconds": cost.seconds,
        "bigram ndcg@10": bigram["ndcg@10"],
        "ndcg@10 - bigram": difference.mean_difference,
        "ndcg@10 - bigram, low": difference.low,
        "ndcg@10 - bigram, high": difference.high,
    }
