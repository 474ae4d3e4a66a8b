"""What M6-Rec's tasks come to, measured for the record.

    python -m m6rec_lite.course.task_runs zero-shot
    python -m m6rec_lite.course.task_runs cold-items
    python -m m6rec_lite.course.task_runs new-domain
    python -m m6rec_lite.course.task_runs closed-domain

``zero-shot`` ranks the whole catalogue by the likelihood of sentences, with no tuning, beside
popularity and a bigram; ``cold-items`` asks for items without a single training row;
``new-domain`` draws the curves of ``m6rec.new_domain``, for each domain in turn; ``closed-domain``
pretrains a model that has seen nobody in a domain and ranks that domain by likelihood, and where
it has run, ``new-domain`` has a retriever that begins with its words. Rows go to
``results/tasks/<dataset>.csv`` and ``results/new_domain/<dataset>.csv``. What the model writes is
measured by ``writing_runs``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from m6rec_lite.course.files import upsert_rows
from m6rec_lite.course.places import project_root
from m6rec_lite.data import (
    Dataset,
    Histories,
    Split,
    cold_item,
    hidden_domain,
    leave_one_out,
    load_dataset,
)
from m6rec_lite.evaluation import FixedScores, Report, compare, evaluate
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.framing import Framing
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.new_domain import NewDomain, closed
from m6rec_lite.m6rec.pretraining import pretrain
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.tasks import Ranking
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
#: How a sentence's likelihood becomes a score: (divided by its tokens, less what nobody says).
SCORINGS = {
    "sum": (False, False),
    "mean": (True, False),
    "sum, lift": (False, True),
    "mean, lift": (True, True),
}
#: What the lift may weigh beside popularity, and the name of both together.
TRUST = (0.05, 0.1, 0.2, 0.4, 0.8)
PRIOR = "M6-Rec and popularity"
#: Of both retrievers, at about the seconds of chapter 05's SASRec.
EPOCHS = 12
#: Examples of a new domain, and then all there are.
EXAMPLES = (0, 10, 30, 100, 300, 1000, 3000)
#: A retriever that begins with the words of a model that has seen nobody in the domain.
PRETRAINED = "M6RecRetriever, pretrained"


def rows_of(report: Report, ks: Sequence[str] = ("hr@10", "ndcg@10")) -> list[dict[str, Any]]:
    """A report's figures, as rows of the table."""
    return [
        {"metric": name, "value": report[name], "n": report.n_users}
        | dict(zip(("low", "high"), report.intervals[name], strict=True))
        for name in ks
    ]


def difference(report: Report, other: Report, than: str) -> dict[str, Any]:
    """NDCG@10 less another's, user by user."""
    test = compare(report, other)
    return {
        "metric": f"ndcg@10 - {than}",
        "value": test.mean_difference,
        "low": test.low,
        "high": test.high,
        "n": report.n_users,
    }


def likelihoods(
    model: M6RecModel, histories: Histories, framing: Framing, places: np.ndarray
) -> dict[str, np.ndarray]:
    """``(n, n_items)`` scores of each of ``SCORINGS``; -inf where an item is not of ``places``.

    Args:
        model: M6-Rec.
        histories: ``n`` rows.
        framing: puts people and items into words.
        places: ``(m,)`` of the catalogue.
    """
    ranking, ids = Ranking(), histories.item_ids[places]
    shape = len(histories), histories.n_items
    found = {name: np.full(shape, -np.inf) for name in SCORINGS}
    given = {"tokenizer": framing.tokenizer}
    for row in range(len(histories)):
        examples = ranking.build_examples(histories[[row]], [ids], framing)
        plain = ranking.predict(model, examples, normalise=False, **given)
        if row == 0:  # what nobody in particular says of each, and over how many tokens
            lifted = ranking.predict(model, examples, normalise=False, lift=True, **given)
            mean = ranking.predict(model, examples, normalise=True, **given)
            alone, size = plain - lifted, plain / mean
        for name, (normalise, lift) in SCORINGS.items():
            score = plain - alone if lift else plain
            found[name][row, places] = score / size if normalise else score
    return found


Scores = dict[str, dict[str, np.ndarray]]


def asked(model: M6RecModel, split: Split, framing: Framing) -> Scores:
    """By part, validation and test, what ``likelihoods`` finds for its questions."""
    places = np.arange(len(split.item_ids))
    if split.candidates is not None:
        places = np.flatnonzero(split.candidates)
    parts = {on: getattr(split, on).histories for on in ("validation", "test")}
    return {on: likelihoods(model, people, framing, places) for on, people in parts.items()}


def with_prior(scores: Scores, popularity: np.ndarray) -> Scores:
    """Bayes' rule: ``ln P(item)``, counted, and so much of the lift as a model may be trusted with.

    A model that is too sure of itself wants a weight below 1 (chapter 06).

    Args:
        scores: from ``asked``.
        popularity: ``(n_items,)`` users of each item in training.
    """
    prior = np.log(popularity + 1)
    return {
        on: {f"w={w:g}": prior + w * found["sum, lift"] for w in TRUST}
        for on, found in scores.items()
    }


def ranked(scores: Scores, name: str, split: Split) -> tuple[str, Report]:
    """The scoring that ranks the validation questions best, and its report on test."""
    reports: dict[str, dict[str, Report]] = {on: {} for on in scores}
    for on, found in scores.items():
        users = getattr(split, on).histories.user_ids
        for scoring, matrix in found.items():
            fixed = FixedScores(split.item_ids, users, matrix, name)
            reports[on][scoring] = evaluate(fixed, split, on=on, progress=False)
    chosen = reports["validation"]
    best = max(chosen, key=lambda scoring: chosen[scoring]["ndcg@10"])
    return best, reports["test"][best]


def some_users(split: Split, validation: int, test: int, seed: int) -> Split:
    """The split with so many questions at most, drawn."""
    rng = np.random.default_rng(seed)
    parts = {}
    for on, n in (("validation", validation), ("test", test)):
        holdout = getattr(split, on)
        parts[on] = holdout[np.sort(rng.permutation(len(holdout))[:n])]
    return replace(split, **parts)


def zero_shot(dataset: Dataset, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The whole catalogue by likelihood: M6-Rec as it was pretrained, popularity, a bigram."""
    split = some_users(leave_one_out(dataset), options.users // 4, options.users, options.seed)
    folder = root / options.model
    tokenizer = Tokenizer.load(folder)
    framing = Framing(BehaviourText(dataset), tokenizer, options.max_tokens)
    counts = Popularity().fit(split.train)
    popular = evaluate(counts, split, progress=False)
    markov = evaluate(Markov(weight=0).fit(split.train), split, progress=False)
    rows = [
        {"model": name, "part": "test"} | row
        for name, report in (("Popularity", popular), ("Bigram", markov))
        for row in rows_of(report)
    ]
    scores = asked(M6RecModel.from_pretrained(folder), split, framing)
    both = {"M6-Rec": scores, PRIOR: with_prior(scores, counts.popularity_)}
    for name, some in both.items():
        scoring, report = ranked(some, name, split)
        mine = [*rows_of(report), difference(report, popular, "Popularity")]
        mine.append(difference(report, markov, "Bigram"))
        rows += [{"model": name, "part": "test", "variant": scoring} | row for row in mine]
    return rows


def cold_items(dataset: Dataset, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Items without a training row: by text, by text and ids, by ids, and by popularity."""
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
        found = rows_of(reports[name])
        if name != "Popularity":
            found.append(difference(reports[name], reports["Popularity"], "Popularity"))
        rows += [{"model": name, "part": "test", "seconds": seconds} | row for row in found]
    return rows


def closed_domain(
    dataset: Dataset, root: Path, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """A domain whose items are announced and where nobody was seen, ranked by likelihood."""
    before = closed(dataset, options.domain)
    settings = Pretraining(size="nano", lines=16, steps=options.steps, seed=options.seed)
    folder = root / "runs" / f"m6rec-nano-without-{options.domain}-seed{options.seed}"
    model, tokenizer, _ = pretrain(settings, folder, dataset=before, ngrams=False)
    split = hidden_domain(dataset, options.domain, seed=options.seed)
    split = some_users(split, options.users // 4, options.users, options.seed)
    framing = Framing(BehaviourText(before), tokenizer, options.max_tokens)
    nobody = NewDomain(split).asked(0)  # nobody has met its items: their popularity is 0
    popular = evaluate(Popularity().fit(split.train), split, progress=False)
    words = ContentBased().fit(nobody.train, items=dataset.items)
    content = evaluate(words, split, progress=False)
    chance = evaluate(Popularity().fit(nobody.train), split, progress=False)
    scoring, report = ranked(asked(model.eval(), split, framing), "M6-Rec", split)
    part = f"test, {options.domain}"
    found = {"Random order": chance, "Popularity there": popular, "ContentBased": content}
    rows = [
        {"model": name, "part": part} | row for name, one in found.items() for row in rows_of(one)
    ]
    mine = rows_of(report) + [difference(report, one, name) for name, one in found.items()]
    about = {"model": "M6-Rec", "part": part, "variant": f"{scoring}, {options.steps} steps"}
    return rows + [about | row for row in mine]


def new_domain(dataset: Dataset, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """NDCG@10 in a new domain after 0, 10, … examples of it, for each domain and model."""
    makes: dict[str, Callable[[], Recommender]] = {
        "Popularity": Popularity,
        "ContentBased": ContentBased,
        "ItemKNN": lambda: ItemKNN(decay=0.8),
        "EASE": lambda: EASE(decay=0.8),
        "SASRec": lambda: SASRec(max_length=50, epochs=EPOCHS, lr=3e-3, seed=options.seed),
        "M6RecRetriever": lambda: M6RecRetriever(
            item_input="text", epochs=EPOCHS, seed=options.seed
        ),
    }
    rows = []
    for domain in options.domains or sorted(dataset.items["domain"].dropna().unique()):
        opened = NewDomain(hidden_domain(dataset, domain, seed=options.seed), options.seed)
        examples = [k for k in EXAMPLES if k < opened.n_examples] + [opened.n_examples]
        folder = root / "runs" / f"m6rec-nano-without-{domain}-seed{options.seed}" / "model"
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


RUNS: dict[str, Callable[[Dataset, Path, argparse.Namespace], list[dict[str, Any]]]] = {
    "zero-shot": zero_shot,
    "cold-items": cold_items,
    "new-domain": new_domain,
    "closed-domain": closed_domain,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.course.task_runs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("task", choices=RUNS)
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=CHECKPOINT, help="folder, from the project's root")
    parser.add_argument("--users", type=int, default=300, help="questions of zero-shot ranking")
    parser.add_argument("--max-tokens", type=int, default=128, help="of a row read")
    parser.add_argument("--domain", default="courses", help="of closed-domain")
    parser.add_argument("--domains", nargs="*", help="of new-domain; all by default")
    parser.add_argument("--models", nargs="*", help="of new-domain; all by default")
    parser.add_argument("--steps", type=int, default=6000, help="of closed-domain's pretraining")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    root = project_root()
    try:
        rows = RUNS[options.task](load_dataset(options.dataset), root, options)
    except (ValueError, KeyError, OSError) as error:
        sys.stderr.write(f"task_runs: {error}\n")
        return 2
    command = " ".join(["python -m m6rec_lite.course.task_runs", *given])
    about = {"dataset": options.dataset, "seed": options.seed, "command": command}
    if options.task == "new-domain":
        table = upsert_rows(
            root / "results" / "new_domain" / f"{options.dataset}.csv",
            [about | row for row in rows],
            CURVE_KEY,
        )
    else:
        path = root / "results" / "tasks" / f"{options.dataset}.csv"
        table = upsert_rows(path, [about | {"task": options.task} | row for row in rows], KEY)
    print(table.tail(len(rows)).drop(columns=["command"]).to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
