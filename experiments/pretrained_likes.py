"""Few-shot likes of films with a pretrained language model, beside what needs no text.

The form of Bao et al., *TALLRec*, 2023 (``m6rec_lite.ctr.likes``): the latest 10,000 ratings, split
by time; a film rated above 3 is liked; the model reads a user's latest ratings and a film's title,
and its answer is the log-odds of yes and no. The same number of examples are likes and not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.records import Records, RunKey
from m6rec_lite.ctr import MeanRateCTR
from m6rec_lite.ctr.likes import LikeExamples, like_examples
from m6rec_lite.data import load_dataset
from m6rec_lite.evaluation import auc, compare_auc
from m6rec_lite.language import BehaviourText
from m6rec_lite.m6rec import PretrainedM6Rec, TextRows, add_lora, train_lora

EXPERIMENT, MODEL, DATASET = "pretrained_lm", "SmolLM2-135M", "ml-100k"
#: Ratings of the latest time, rating above which a film is liked, and test rows at most.
LATEST, ABOVE, TEST_ROWS = 10_000, 3.0, 300
#: Latest ratings in a prompt.
EVENTS = 6
#: Optimizer steps by number of examples, rows of a batch, and highest learning rate.
STEPS, BATCH, RATE = {16: 16, 64: 32, 256: 64}, 8, 5e-4
#: Rows without a model: the same answer for all, the user's own likes, and the film's.
CONSTANT, USER, FILM = "constant", "user's share of likes in the prompt", "film's share of likes"


def likes_text(examples: LikeExamples) -> BehaviourText:
    """Return the verbalization of ratings, in few tokens: "rated 4 Space Jam (1996)"."""
    return BehaviourText(examples.dataset, "compact", context=(), times=None, queries="none")


def test_rows(examples: LikeExamples, limit: int) -> LikeExamples:
    """Return the examples with at most ``limit`` test rows, half of them likes, drawn at random."""
    table, draw = examples.test, np.random.default_rng(0)
    liked = table["liked"].to_numpy()
    halves = [draw.permutation(np.flatnonzero(liked == x))[: limit // 2] for x in (True, False)]
    return replace(examples, test=table.iloc[np.sort(np.concatenate(halves))])


def controls(examples: LikeExamples) -> dict[str, np.ndarray]:
    """Return the answers to the test rows of what reads no text.

    *user's share of likes in the prompt*: of the ratings that the model also reads. *film's share
    of likes*: of all earlier ratings by anybody, which no few-shot model has.
    """
    rows, dataset = examples.test, examples.dataset
    histories, values = examples.histories(rows, latest=EVENTS)
    liked = np.bincount(histories.rows, values > ABOVE, minlength=len(rows))
    ratings = dataset.interactions
    shown = ratings[["user_id", "item_id", "timestamp"]].assign(liked=ratings["value"] > ABOVE)
    known = replace(dataset, impressions=shown.sort_values("timestamp", kind="stable"))
    rate = MeanRateCTR(label="liked").fit(examples.train, known, progress=False)
    return {
        CONSTANT: np.zeros(len(rows)),
        USER: (liked + 1) / (histories.lengths + 2),
        FILM: rate.predict(rows, known),
    }


def report_of(examples: LikeExamples, answers: np.ndarray) -> dict[str, Any]:
    """Return the AUC with its 95 % interval over users."""
    truth, users = examples.test["liked"].to_numpy(), examples.test["user_id"].to_numpy()
    value = auc(truth, answers)
    apart = compare_auc(truth, answers, np.zeros(len(truth)), users)  # of a constant it is 0.5
    return {
        "on": "test",
        "rows": len(truth),
        "users": len(np.unique(users)),
        "metrics": {"auc": round(value, 6)},
        "intervals": {"auc": [round(0.5 + apart.low, 6), round(0.5 + apart.high, 6)]},
        "headline": {"auc": value},
    }


def measure(load: Callable[..., PretrainedM6Rec], options: argparse.Namespace) -> None:
    """Record the controls, and the model after each number of examples and seed."""
    records = Records(options.root / "results")
    examples = test_rows(like_examples(load_dataset(DATASET), above=ABOVE, rows=LATEST), TEST_ROWS)

    def record(model: str, variant: str, seed: int, report: dict[str, Any]) -> None:
        key = RunKey(EXPERIMENT, DATASET, model, variant, seed)
        records.start(key, command=options.command)
        records.finish(key, report)
        low, high = report["intervals"]["auc"]
        figure = report["metrics"]["auc"]
        print(f"{model}, {variant}, seed {seed}: AUC {figure:.4f} [{low:.4f}, {high:.4f}]")

    answers = controls(examples)
    for name, values in answers.items():
        if options.again or not records.is_recorded(RunKey(EXPERIMENT, DATASET, name, "likes")):
            record(name, "likes", 0, report_of(examples, values))
    for shots in options.shots:
        for seed in options.seeds if shots else [0]:
            key = RunKey(EXPERIMENT, DATASET, MODEL, f"likes rows={shots}", seed)
            if records.is_recorded(key) and not options.again:
                continue
            model = load(likes_text(examples), events=EVENTS)
            found, costs = few_shot(model, examples, shots, seed, progress=not options.quiet)
            report = report_of(examples, found) | {"costs": costs}
            truth, users = (examples.test[name].to_numpy() for name in ("liked", "user_id"))
            for name, values in answers.items():
                test = compare_auc(truth, found, values, users)
                report.setdefault("minus", {})[name] = {
                    "mean": test.mean_difference, "low": test.low, "high": test.high
                }  # fmt: skip
            record(MODEL, key.variant, seed, report)


def few_shot(
    model: PretrainedM6Rec, examples: LikeExamples, shots: int, seed: int, *, progress: bool
) -> tuple[np.ndarray, dict[str, float]]:
    """Train low-rank weights on some examples, and return the log-odds of the test rows.

    The model is as before when this returns.
    """
    changes, costs, clock = [], {"rows": float(shots)}, time.process_time()
    if shots:
        rows = examples.shots(shots, seed)
        histories, _ = examples.histories(rows, latest=EVENTS)
        known = model.likes(histories, rows["item_id"].to_numpy())
        changes = add_lora(model.model, seed=seed)
        labels = TextRows(known, liked=rows["liked"].tolist(), batch_size=BATCH)
        steps = STEPS.get(shots, max(16, shots // 4))
        train_lora(model, labels, steps=steps, lr=RATE, seed=seed, progress=progress)
        costs |= {"steps": steps, "fit_cpu_seconds": round(time.process_time() - clock, 1)}
    histories, _ = examples.histories(examples.test, latest=EVENTS)
    known = model.likes(histories, examples.test["item_id"].to_numpy())
    found = model.log_odds(known, progress=progress)
    for change in changes:
        change.undo()
    return found, costs
