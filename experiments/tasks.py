"""Evaluate M6-Rec without fine-tuning: zero-shot ranking, a new domain.

    python -m experiments tasks zero-shot
    python -m experiments tasks new-domain
    python -m experiments tasks closed-domain

``zero-shot`` ranks the whole catalogue by the likelihood of sentences and compares it with
popularity and a bigram; ``new-domain`` measures the learning curves of ``m6rec.new_domain`` for
each domain; ``closed-domain`` pretrains a model without events of a domain and ranks that domain by
likelihood; after it, ``new-domain`` includes a retriever that starts from that model. Rows go to
``results/tasks/<dataset>.csv`` and ``results/new_domain/<dataset>.csv``. Generated text is
evaluated by ``generation``, items without training rows by ``cold_items``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from m6rec_lite.data import Dataset, Split, hidden_domain, leave_one_out, load_dataset
from m6rec_lite.data.result_files import upsert_rows
from m6rec_lite.evaluation import Report, compare, evaluate
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.new_domain import NewDomain, closed
from m6rec_lite.m6rec.pretraining import pretrain
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.tasks import Ranking, TaskData
from m6rec_lite.m6rec.tasks.full_ranking import ranking_report
from m6rec_lite.m6rec.tasks.ranking import score_matrix
from m6rec_lite.recommenders import (
    EASE,
    ContentBased,
    ItemKNN,
    Markov,
    Popularity,
    Recommender,
    SASRec,
)

KEY = ["dataset", "task", "part", "model", "metric", "seed"]
CURVE_KEY = ["dataset", "domain", "model", "examples", "seed"]
CHECKPOINT = "checkpoints/bazaar-m6rec"
#: Weights of the lift relative to popularity, and the name of the combination.
LIFT_WEIGHTS = (0.05, 0.1, 0.2, 0.4, 0.8)
PRIOR = "M6-Rec and popularity"
#: Epochs of the networks.
EPOCHS = 12
#: Numbers of examples of a new domain, beside all of them.
EXAMPLES = (0, 10, 30, 100, 300, 1000, 3000)
#: A retriever that starts from a model pretrained without events of the domain.
PRETRAINED = "M6RecRetriever, pretrained"

#: By part (validation, test): user ids, and ``(n, n_items)`` scores by name.
Scores = dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]


def rows_of(report: Report, ks: Sequence[str] = ("hr@10", "ndcg@10")) -> list[dict[str, Any]]:
    """Return the metrics of a report as rows of the table."""
    return [
        {"metric": name, "value": report[name], "n": report.n_users}
        | dict(zip(("low", "high"), report.intervals[name], strict=True))
        for name in ks
    ]


def difference(report: Report, other: Report, name: str) -> dict[str, Any]:
    """Return the paired difference of NDCG@10 between two reports."""
    test = compare(report, other)
    return {
        "metric": f"ndcg@10 - {name}",
        "value": test.mean_difference,
        "low": test.low,
        "high": test.high,
        "n": report.n_users,
    }


def likelihoods(model: M6RecModel, data: TaskData, prompts: PromptBuilder) -> Scores:
    """Return the scores of the validation and test examples, by scoring."""
    ranking, scores_of_parts = Ranking(), {}
    for part in ("validation", "test"):
        examples = ranking.build_examples(data, prompts, part)
        matrices, users = {}, np.zeros(0)
        for name, scores in ranking.scores(model, examples).items():
            users, matrices[name] = score_matrix(scores, examples, data)
        scores_of_parts[part] = (users, matrices)
    return scores_of_parts


def with_prior(scores: Scores, popularity: np.ndarray) -> Scores:
    """Add a weighted lift to the log popularity ``ln P(item)``, by Bayes' rule.

    An overconfident model needs a weight below 1.

    Args:
        scores: result of ``likelihoods``.
        popularity: ``(n_items,)`` number of users of each item in training.
    """
    prior = np.log(popularity + 1)
    return {
        part: (users, {f"w={w:g}": prior + w * matrices["sum, lift"] for w in LIFT_WEIGHTS})
        for part, (users, matrices) in scores.items()
    }


def best_scoring(scores: Scores, name: str, data: TaskData) -> tuple[str, Report]:
    """Return the scoring with the best validation NDCG@10, and its report on test."""
    reports = {
        part: {
            key: ranking_report(matrix, users, data, part, name) for key, matrix in matrices.items()
        }
        for part, (users, matrices) in scores.items()
    }
    validation = reports["validation"]
    best = max(validation, key=lambda scoring: validation[scoring]["ndcg@10"])
    return best, reports["test"][best]


def sample_holdout(split: Split, validation: int, test: int, seed: int) -> Split:
    """Return the split with random samples of its validation and test users."""
    rng = np.random.default_rng(seed)
    parts = {}
    for on, n in (("validation", validation), ("test", test)):
        holdout = getattr(split, on)
        parts[on] = holdout[np.sort(rng.permutation(len(holdout))[:n])]
    return replace(split, **parts)


def zero_shot(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rank the whole catalogue: pretrained M6-Rec by likelihood, popularity, a bigram."""
    split = leave_one_out(dataset)
    split = sample_holdout(split, options.users // 4, options.users, options.seed)
    folder = options.root / options.model
    tokenizer, model = Tokenizer.load(folder), M6RecModel.from_pretrained(folder)
    prompts = PromptBuilder(BehaviourText(dataset), tokenizer, options.max_tokens)
    counts, data = Popularity().fit(split.train), TaskData(dataset, split)
    popular = evaluate(counts, split, progress=False)
    markov = evaluate(Markov(weight=0).fit(split.train), split, progress=False)
    rows = [
        {"model": name, "part": "test"} | row
        for name, report in (("Popularity", popular), ("Bigram", markov))
        for row in rows_of(report)
    ]
    scores = likelihoods(model, data, prompts)
    both = {"M6-Rec": scores, PRIOR: with_prior(scores, counts.popularity_)}
    for name, model_scores in both.items():
        scoring, report = best_scoring(model_scores, name, data)
        metrics = [*rows_of(report), difference(report, popular, "Popularity")]
        metrics.append(difference(report, markov, "Bigram"))
        rows += [{"model": name, "part": "test", "variant": scoring} | row for row in metrics]
    return rows


def closed_domain(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rank the items of a domain by likelihood, without events of the domain in pretraining."""
    before = closed(dataset, options.domain)
    settings = Pretraining(size="nano", lines=16, steps=options.steps, seed=options.seed)
    folder = pretrained_folder(options, options.domain)
    model, tokenizer, _ = pretrain(settings, folder, dataset=before, ngrams=False)
    split = hidden_domain(dataset, options.domain, seed=options.seed)
    split = sample_holdout(split, options.users // 4, options.users, options.seed)
    prompts = PromptBuilder(BehaviourText(before), tokenizer, options.max_tokens)
    without = NewDomain(split).few_shot_split(0)  # without training rows in the domain
    popular = evaluate(Popularity().fit(split.train), split, progress=False)
    content_based = ContentBased().fit(without.train, items=dataset.items)
    content = evaluate(content_based, split, progress=False)
    random = evaluate(Popularity().fit(without.train), split, progress=False)
    data = TaskData(before, split)
    scoring, report = best_scoring(likelihoods(model.eval(), data, prompts), "M6-Rec", data)
    part = f"test, {options.domain}"
    others = {"Random order": random, "Popularity there": popular, "ContentBased": content}
    rows = [
        {"model": name, "part": part} | row
        for name, other in others.items()
        for row in rows_of(other)
    ]
    metrics = rows_of(report)
    metrics += [difference(report, other, name) for name, other in others.items()]
    common = {"model": "M6-Rec", "part": part, "variant": f"{scoring}, {options.steps} steps"}
    return rows + [common | row for row in metrics]


def new_domain(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure NDCG@10 in a new domain after 0, 10, … examples, for each domain and model."""
    seed = options.seed
    factories: dict[str, Callable[[], Recommender]] = {
        "Popularity": Popularity,
        "ContentBased": ContentBased,
        "ItemKNN": lambda: ItemKNN(decay=0.8),
        "EASE": lambda: EASE(decay=0.8),
        "SASRec": lambda: SASRec(max_length=50, epochs=EPOCHS, lr=3e-3, seed=seed),
        "M6RecRetriever": lambda: M6RecRetriever(item_input="text", epochs=EPOCHS, seed=seed),
    }
    rows = []
    for domain in options.domains or sorted(dataset.items["domain"].dropna().unique()):
        new = NewDomain(hidden_domain(dataset, domain, seed=seed), seed)
        examples = [k for k in EXAMPLES if k < new.n_examples] + [new.n_examples]
        folder = pretrained_folder(options, domain) / "model"
        if folder.is_dir():  # pretrained by ``closed-domain``
            factories[PRETRAINED] = partial(
                M6RecRetriever, item_input="text", model=str(folder), epochs=EPOCHS // 2
            )
        else:
            factories.pop(PRETRAINED, None)
        for name in options.models or factories:
            clock = time.perf_counter()
            for k, model in new.curve(factories[name], examples, items=dataset.items):
                seconds = time.perf_counter() - clock
                report = evaluate(model, new.few_shot_split(k), progress=False)
                low, high = report.intervals["ndcg@10"]
                rows.append(
                    {"domain": domain, "model": name, "examples": k, "ndcg@10": report["ndcg@10"]}
                    | {"ndcg@10_low": low, "ndcg@10_high": high, "n_users": report.n_users}
                    | {"all examples": k == new.n_examples, "seconds": seconds}
                )
                clock = time.perf_counter()
    return rows


def pretrained_folder(options: argparse.Namespace, domain: str) -> Path:
    """Return the folder of the model that was pretrained without events of a domain."""
    return options.root / "runs" / f"m6rec-nano-without-{domain}-seed{options.seed}"


RUNS: dict[str, Callable[[Dataset, argparse.Namespace], list[dict[str, Any]]]] = {
    "zero-shot": zero_shot,
    "new-domain": new_domain,
    "closed-domain": closed_domain,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("task", choices=RUNS)
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=CHECKPOINT, help="folder, from the project's root")
    parser.add_argument("--users", type=int, default=300, help="test users of both rankings")
    parser.add_argument("--max-tokens", type=int, default=128, help="maximum tokens of a row")
    parser.add_argument("--domain", default="courses", help="domain of closed-domain")
    parser.add_argument("--domains", nargs="*", help="domains of new-domain (default: all)")
    parser.add_argument("--models", nargs="*", help="models of new-domain (default: all)")
    parser.add_argument("--steps", type=int, default=6000, help="pretraining, closed-domain")


def run(options: argparse.Namespace) -> None:
    """Run one task, write its rows and print them."""
    rows = RUNS[options.task](load_dataset(options.dataset), options)
    folder, key = "new_domain", CURVE_KEY
    if options.task != "new-domain":
        folder, key = "tasks", KEY
        rows = [{"task": options.task} | row for row in rows]
    record(options, folder, key, rows)


def record(
    options: argparse.Namespace, folder: str, key: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    """Write rows to ``results/<folder>/<dataset>.csv`` and print them."""
    common = {"dataset": options.dataset, "seed": options.seed, "command": options.command}
    path = options.root / "results" / folder / f"{options.dataset}.csv"
    table = upsert_rows(path, [common | row for row in rows], key)
    print(table.tail(len(rows)).drop(columns=["command"]).to_string(index=False))
