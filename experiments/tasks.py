"""M6-Rec's tasks without tuning: zero-shot ranking, cold items, a domain that opens.

    python -m experiments tasks zero-shot
    python -m experiments tasks cold-items
    python -m experiments tasks new-domain
    python -m experiments tasks closed-domain

``zero-shot`` ranks the whole catalogue by the likelihood of sentences, beside popularity and a
bigram; ``cold-items`` ranks items without a single training row; ``new-domain`` draws the curves of
``m6rec.new_domain``, for each domain in turn; ``closed-domain`` pretrains a model on no events of a
domain and ranks that domain by likelihood, and where it has run, ``new-domain`` has a retriever
that starts from its words. Rows go to ``results/tasks/<dataset>.csv`` and
``results/new_domain/<dataset>.csv``. What the model writes is measured by ``generation``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from m6rec_lite.course.files import upsert_rows
from m6rec_lite.data import Dataset, Split, cold_item, hidden_domain, leave_one_out, load_dataset
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
#: Weights of the lift beside popularity, and the name of both together.
TRUST = (0.05, 0.1, 0.2, 0.4, 0.8)
PRIOR = "M6-Rec and popularity"
#: Of both retrievers, about the seconds of chapter 10's SASRec.
EPOCHS = 12
#: Examples of a new domain, before all there are.
EXAMPLES = (0, 10, 30, 100, 300, 1000, 3000)
#: A retriever that starts from a model pretrained on no events of the domain.
PRETRAINED = "M6RecRetriever, pretrained"

#: By part, validation and test: user ids, and ``(n, n_items)`` scores by their names.
Scores = dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]


def rows_of(report: Report, ks: Sequence[str] = ("hr@10", "ndcg@10")) -> list[dict[str, Any]]:
    """Return a report's figures as rows of the table."""
    return [
        {"metric": name, "value": report[name], "n": report.n_users}
        | dict(zip(("low", "high"), report.intervals[name], strict=True))
        for name in ks
    ]


def difference(report: Report, other: Report, name: str) -> dict[str, Any]:
    """Return NDCG@10 less another's, paired by user."""
    test = compare(report, other)
    return {
        "metric": f"ndcg@10 - {name}",
        "value": test.mean_difference,
        "low": test.low,
        "high": test.high,
        "n": report.n_users,
    }


def likelihoods(model: M6RecModel, data: TaskData, prompts: PromptBuilder) -> Scores:
    """Return every scoring of the questions of validation and test."""
    ranking, found = Ranking(), {}
    for part in ("validation", "test"):
        examples = ranking.build_examples(data, prompts, part)
        matrices, users = {}, np.zeros(0)
        for name, scores in ranking.scores(model, examples).items():
            users, matrices[name] = score_matrix(scores, examples, data)
        found[part] = (users, matrices)
    return found


def with_prior(scores: Scores, popularity: np.ndarray) -> Scores:
    """Add a weighted lift to ``ln P(item)``, counted, by Bayes' rule.

    An overconfident model needs a weight below 1 (chapter 12).

    Args:
        scores: from ``likelihoods``.
        popularity: ``(n_items,)`` users of each item in training.
    """
    prior = np.log(popularity + 1)
    return {
        part: (users, {f"w={w:g}": prior + w * matrices["sum, lift"] for w in TRUST})
        for part, (users, matrices) in scores.items()
    }


def ranked(scores: Scores, name: str, data: TaskData) -> tuple[str, Report]:
    """Return the scoring that ranks the validation questions best, and its report on test."""
    reports = {
        part: {key: ranking_report(one, users, data, part, name) for key, one in matrices.items()}
        for part, (users, matrices) in scores.items()
    }
    chosen = reports["validation"]
    best = max(chosen, key=lambda scoring: chosen[scoring]["ndcg@10"])
    return best, reports["test"][best]


def sample_questions(split: Split, validation: int, test: int, seed: int) -> Split:
    """Return the split with at most this many questions, drawn."""
    rng = np.random.default_rng(seed)
    parts = {}
    for on, n in (("validation", validation), ("test", test)):
        holdout = getattr(split, on)
        parts[on] = holdout[np.sort(rng.permutation(len(holdout))[:n])]
    return replace(split, **parts)


def zero_shot(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rank the whole catalogue by likelihood: M6-Rec as pretrained, popularity, a bigram."""
    split = leave_one_out(dataset)
    split = sample_questions(split, options.users // 4, options.users, options.seed)
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
    for name, some in both.items():
        scoring, report = ranked(some, name, data)
        figures = [*rows_of(report), difference(report, popular, "Popularity")]
        figures.append(difference(report, markov, "Bigram"))
        rows += [{"model": name, "part": "test", "variant": scoring} | row for row in figures]
    return rows


def cold_items(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rank items without a training row: by text, by text and ids, by ids, and by popularity."""
    split = cold_item(dataset, seed=options.seed)
    models = {
        "Popularity": Popularity(),
        "ContentBased": ContentBased(),
        "SASRec": SASRec(max_length=50, epochs=EPOCHS, lr=3e-3, seed=options.seed),
        "M6RecRetriever, text": M6RecRetriever(item_input="text", epochs=EPOCHS, seed=options.seed),
        "M6RecRetriever, text and ids": M6RecRetriever(epochs=EPOCHS, seed=options.seed),
    }
    rows, reports = [], {}
    for name, model in models.items():
        clock = time.perf_counter()
        model.fit(split.train, items=dataset.items)
        seconds = time.perf_counter() - clock
        reports[name] = evaluate(model, split, progress=False)
        figures = rows_of(reports[name])
        if name != "Popularity":
            figures.append(difference(reports[name], reports["Popularity"], "Popularity"))
        rows += [{"model": name, "part": "test", "seconds": seconds} | row for row in figures]
    return rows


def closed_domain(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rank by likelihood a domain whose items are announced and whose users were never seen."""
    before = closed(dataset, options.domain)
    settings = Pretraining(size="nano", lines=16, steps=options.steps, seed=options.seed)
    folder = pretrained_folder(options, options.domain)
    model, tokenizer, _ = pretrain(settings, folder, dataset=before, ngrams=False)
    split = hidden_domain(dataset, options.domain, seed=options.seed)
    split = sample_questions(split, options.users // 4, options.users, options.seed)
    prompts = PromptBuilder(BehaviourText(before), tokenizer, options.max_tokens)
    nobody = NewDomain(split).asked(0)  # no user has met its items: their popularity is 0
    popular = evaluate(Popularity().fit(split.train), split, progress=False)
    words = ContentBased().fit(nobody.train, items=dataset.items)
    content = evaluate(words, split, progress=False)
    chance = evaluate(Popularity().fit(nobody.train), split, progress=False)
    data = TaskData(before, split)
    scoring, report = ranked(likelihoods(model.eval(), data, prompts), "M6-Rec", data)
    part = f"test, {options.domain}"
    others = {"Random order": chance, "Popularity there": popular, "ContentBased": content}
    rows = [
        {"model": name, "part": part} | row for name, one in others.items() for row in rows_of(one)
    ]
    figures = rows_of(report) + [difference(report, one, name) for name, one in others.items()]
    about = {"model": "M6-Rec", "part": part, "variant": f"{scoring}, {options.steps} steps"}
    return rows + [about | row for row in figures]


def new_domain(dataset: Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure NDCG@10 in a new domain after 0, 10, … examples, for each domain and model."""
    seed = options.seed
    makes: dict[str, Callable[[], Recommender]] = {
        "Popularity": Popularity,
        "ContentBased": ContentBased,
        "ItemKNN": lambda: ItemKNN(decay=0.8),
        "EASE": lambda: EASE(decay=0.8),
        "SASRec": lambda: SASRec(max_length=50, epochs=EPOCHS, lr=3e-3, seed=seed),
        "M6RecRetriever": lambda: M6RecRetriever(item_input="text", epochs=EPOCHS, seed=seed),
    }
    rows = []
    for domain in options.domains or sorted(dataset.items["domain"].dropna().unique()):
        opened = NewDomain(hidden_domain(dataset, domain, seed=seed), seed)
        examples = [k for k in EXAMPLES if k < opened.n_examples] + [opened.n_examples]
        folder = pretrained_folder(options, domain) / "model"
        if folder.is_dir():  # what ``closed-domain`` has pretrained
            makes[PRETRAINED] = partial(
                M6RecRetriever, item_input="text", model=str(folder), epochs=EPOCHS // 2
            )
        else:
            makes.pop(PRETRAINED, None)
        for name in options.models or makes:
            clock = time.perf_counter()
            for k, model in opened.curve(makes[name], examples, items=dataset.items):
                seconds = time.perf_counter() - clock
                report = evaluate(model, opened.asked(k), progress=False)
                low, high = report.intervals["ndcg@10"]
                rows.append(
                    {"domain": domain, "model": name, "examples": k, "ndcg@10": report["ndcg@10"]}
                    | {"ndcg@10_low": low, "ndcg@10_high": high, "n_users": report.n_users}
                    | {"all examples": k == opened.n_examples, "seconds": seconds}
                )
                clock = time.perf_counter()
    return rows


def pretrained_folder(options: argparse.Namespace, domain: str) -> Any:
    """Return the folder of the model that was pretrained on no events of a domain."""
    return options.root / "runs" / f"m6rec-nano-without-{domain}-seed{options.seed}"


RUNS: dict[str, Callable[[Dataset, argparse.Namespace], list[dict[str, Any]]]] = {
    "zero-shot": zero_shot,
    "cold-items": cold_items,
    "new-domain": new_domain,
    "closed-domain": closed_domain,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("task", choices=RUNS)
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=CHECKPOINT, help="folder, from the project's root")
    parser.add_argument("--users", type=int, default=300, help="questions of zero-shot ranking")
    parser.add_argument("--max-tokens", type=int, default=128, help="tokens of a row")
    parser.add_argument("--domain", default="courses", help="of closed-domain")
    parser.add_argument("--domains", nargs="*", help="of new-domain; all by default")
    parser.add_argument("--models", nargs="*", help="of new-domain; all by default")
    parser.add_argument("--steps", type=int, default=6000, help="of closed-domain's pretraining")


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
    """Write rows into ``results/<folder>/<dataset>.csv``, and print them."""
    about = {"dataset": options.dataset, "seed": options.seed, "command": options.command}
    path = options.root / "results" / folder / f"{options.dataset}.csv"
    table = upsert_rows(path, [about | row for row in rows], key)
    print(table.tail(len(rows)).drop(columns=["command"]).to_string(index=False))
