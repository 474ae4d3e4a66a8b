"""One model tuned on all its tasks at once, and what it then writes, measured for the record.

    python -m m6rec_lite.course.writing_runs --steps 2000

begins with the pretrained checkpoint, trains it jointly (``m6rec.tasks.joint``: explanation as the
task wanted most, the others as the multi-task part, weighted by alpha), saves model and heads into
one folder, and judges each task on what it has not learnt from, beside answers that cost no model.
Killed and started again, the training goes on. Rows go to ``results/tasks/<dataset>.csv``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m6rec_lite.course.files import upsert_rows
from m6rec_lite.course.places import project_root
from m6rec_lite.course.task_runs import CHECKPOINT, KEY
from m6rec_lite.data import Dataset, Split, leave_one_out, load_dataset
from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.reviews import aspect_of
from m6rec_lite.data.ids import is_id
from m6rec_lite.evaluation.significance import bootstrap_interval
from m6rec_lite.evaluation.text import perplexity
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.framing import Framing
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks import (
    Conversation,
    Design,
    Examples,
    Explanation,
    Query,
    Task,
    TaskBatches,
    Together,
    Weights,
    conversation,
    design,
    explanation,
    query,
    train_jointly,
)
from m6rec_lite.m6rec.tasks.trie import TitleTrie
from m6rec_lite.m6rec.tasks.truth import Truth
from m6rec_lite.m6rec.tasks.writing import Writing

#: What is said of people in a row of each task, and its tokens at most: no more than it needs.
CONTEXTS: dict[str, tuple[Mapping[str, Any], int]] = {
    "explanation": ({"context": ("locale",)}, 256),
    "query": ({"context": ("gender", "age_band", "locale", "month")}, 128),
    "design": (
        {"context": ("gender", "age_band", "locale", "month"), "queries": "none"},
        160,
    ),
    "conversation": ({}, 192),
}
KINDS: dict[str, type[Writing]] = {
    "explanation": Explanation,
    "query": Query,
    "design": Design,
    "conversation": Conversation,
}
#: Rows of a test that are written for, at most.
LIMIT = 2000


@dataclass
class Rows:
    """A task's examples: to learn from, and of each part to be judged on."""

    train: Examples
    judged: dict[str, Examples]


@dataclass(frozen=True)
class Asked:
    """A model and what it is judged on.

    Attributes:
        model: tuned.
        tokenizer: its.
        asked: the rows to answer.
        train: the rows that were learnt from.
        dataset: of both.
        truth: what is true there.
    """

    model: M6RecModel
    tokenizer: Tokenizer
    asked: Examples
    train: Examples
    dataset: Dataset
    truth: Truth


def examples_of(
    tasks: Mapping[str, Task], dataset: Dataset, split: Split, tokenizer: Tokenizer
) -> dict[str, Rows]:
    """The rows of every task that the data set has tables for."""
    parts = {"explanation": ("test", "writers"), "query": ("test", "people"), "design": ("test",)}
    found = {}
    for name, task in tasks.items():
        said, limit = CONTEXTS[name]
        framing = Framing(BehaviourText(dataset, **said), tokenizer, limit)
        judged = {
            part: task.build_examples(dataset, split, framing, part)[:LIMIT]
            for part in parts.get(name, ("held out",))
        }
        found[name] = Rows(task.build_examples(dataset, split, framing, "train"), judged)
    return found


def judged(
    tasks: Mapping[str, Task],
    model: M6RecModel,
    tokenizer: Tokenizer,
    rows: Mapping[str, Rows],
    dataset: Dataset,
) -> list[dict[str, Any]]:
    """Every task's figures on every part: the model's, and those of answers that cost none."""
    truth, found = Truth(dataset), []
    for name, task in tasks.items():
        for part, asked in rows[name].judged.items():
            about = {"task": name, "part": part, "n": len(asked)}
            nats = perplexity(*task.log_likelihood(model, asked, tokenizer))
            found.append(about | {"model": "M6-Rec", "metric": "perplexity", "value": nats})
            given = Asked(model, tokenizer, asked, rows[name].train, dataset, truth)
            answers = ANSWERS[name](task, given)
            for who, figures in answers.items():
                for metric, (value, low, high) in figures.items():
                    row = {"model": who, "metric": metric, "value": value, "low": low, "high": high}
                    found.append(about | row)
    return found


Figures = dict[str, tuple[float, float, float]]


def plain(figures: Mapping[str, float]) -> Figures:
    """Figures of a whole test, without an interval."""
    return {name: (value, float("nan"), float("nan")) for name, value in figures.items()}


def counted(right: np.ndarray) -> tuple[float, float, float]:
    """The share of rows that are right, and its interval."""
    low, high = bootstrap_interval(right.astype(np.float64))
    return float(right.mean()), float(low), float(high)


def _explanations(task: Explanation, given: Asked) -> dict[str, Figures]:
    model, tokenizer, asked = given.model, given.tokenizer, given.asked
    gold = np.array([words.ASPECTS.index(name) for name in asked.about["aspect"]])
    texts = {"M6-Rec": explanation.reasons(task.predict(model, asked, tokenizer))}
    texts |= explanation.baselines(given.train, asked)
    right = {who: np.array([aspect_of(t) for t in some]) == gold for who, some in texts.items()}
    found = {}
    for who, some in texts.items():
        found[who] = plain(explanation.judge(some, asked, given.truth))
        found[who]["true aspect"] = counted(right[who])
    most = right["most frequent aspect"].astype(float)
    draws = np.random.default_rng(0).integers(len(most), size=(1000, len(most)))
    if most.any():
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw may hold none of either
            ratios = right["M6-Rec"][draws].mean(axis=1) / most[draws].mean(axis=1)
        low, high = np.nanquantile(ratios, [0.025, 0.975], method="nearest")
        value = right["M6-Rec"].mean() / most.mean()
        found["M6-Rec"]["true aspect / most frequent aspect"] = (value, low, high)
    return found


def _queries(task: Query, given: Asked) -> dict[str, Figures]:
    model, tokenizer, asked = given.model, given.tokenizer, given.asked
    said, limit = CONTEXTS["query"]
    framing = Framing(BehaviourText(given.dataset, **said), tokenizer, limit)
    texts = {
        "M6-Rec": [one.text for one in task.predict(model, asked, tokenizer, max_new_tokens=24)],
        "people": asked.about["text"].tolist(),
    }
    texts |= query.baselines(given.train, asked, framing)
    return {who: plain(query.judge(some, asked, given.truth)) for who, some in texts.items()}


def _designs(task: Design, given: Asked) -> dict[str, Figures]:
    model, tokenizer, asked = given.model, given.tokenizer, given.asked
    said, _ = CONTEXTS["design"]
    text = BehaviourText(given.dataset, **said)
    made = {"M6-Rec": task.designs(task.predict(model, asked, tokenizer, max_new_tokens=48))}
    made |= design.baselines(given.train, asked)
    return {
        who: plain(design.judge(some, asked, given.dataset, text, given.truth))
        for who, some in made.items()
    }


def _talks(task: Conversation, given: Asked) -> dict[str, Figures]:
    model, tokenizer, asked = given.model, given.tokenizer, given.asked
    text, ids = BehaviourText(given.dataset), given.dataset.items["item_id"].tolist()
    catalogue = TitleTrie.of(text, tokenizer, ids)
    last = asked[asked.about["item_id"].map(is_id).to_numpy(dtype=bool)]
    wanted = last.about["item_id"].tolist()
    written = {
        "M6-Rec": task.predict(model, last, tokenizer, catalogue=catalogue),
        "M6-Rec, unbound": task.predict(model, last, tokenizer),
    }
    found: dict[str, Figures] = {}
    for who, turns in written.items():
        figures = conversation.judge(turns, last, catalogue, given.truth)
        named = [conversation.named(turn) for turn in turns]
        items = [() if title is None else catalogue.items(title) for title in named]
        found[who] = plain(figures) | {
            "item exists": counted(np.array([len(some) > 0 for some in items])),
            "item hit": counted(_hit(items, wanted)),
        }
    for who, items in conversation.baselines(given.train, last, text, ids).items():
        figures = plain(conversation.hits(items, last, given.truth))
        found[who] = figures | {"item hit": counted(_hit(items, wanted))}
    return found


def _hit(items: Sequence[Sequence[int]], wanted: Sequence[int]) -> np.ndarray:
    """``(n,)`` share of the items named that are the one wanted."""
    pairs = zip(items, wanted, strict=True)
    return np.array([np.mean([one == gold for one in some]) if some else 0 for some, gold in pairs])


ANSWERS = {
    "explanation": _explanations,
    "query": _queries,
    "design": _designs,
    "conversation": _talks,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.course.writing_runs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--model", default=CHECKPOINT, help="folder, from the project's root")
    parser.add_argument("--tasks", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--wanted", choices=KINDS, default="explanation", help="L_finetune")
    parser.add_argument("--alpha", type=float, default=1.0, help="of the other tasks together")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=2048, help="of a task's batch")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    root = project_root()
    try:
        rows = run(load_dataset(options.dataset), root, options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"writing_runs: {error}\n")
        return 2
    command = " ".join(["python -m m6rec_lite.course.writing_runs", *given])
    about = {"dataset": options.dataset, "seed": options.seed, "command": command}
    table = upsert_rows(
        root / "results" / "tasks" / f"{options.dataset}.csv", [about | row for row in rows], KEY
    )
    print(table.tail(len(rows)).drop(columns=["command"]).to_string(index=False))
    return 0


def run(dataset: Dataset, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train, save, judge; returns the rows."""
    split = leave_one_out(dataset)
    tokenizer = Tokenizer.load(root / options.model)
    model = M6RecModel.from_pretrained(root / options.model)
    tasks = {name: KINDS[name]() for name in options.tasks}
    rows = examples_of(tasks, dataset, split, tokenizer)
    others = {name: 1.0 for name in tasks if name != options.wanted}
    wanted = {options.wanted: 1.0} if options.wanted in tasks else {}
    weights = Weights(alpha=options.alpha, tasks=others, finetune=wanted)
    sources = {
        name: TaskBatches(rows[name].train, options.tokens, pad=tokenizer.pad)
        for name in weights.shares()
    }
    both = Together(model, tasks)
    folder = root / "runs" / "together" / f"{options.dataset}-seed{options.seed}"
    train_jointly(
        both,
        sources,
        weights,
        steps=options.steps,
        round_steps=max(1, options.steps // 10),
        lr=options.lr,
        checkpoint=folder / "checkpoints",
        seed=options.seed,
    )
    both.eval()
    both.save(folder / "model", tokenizer)
    return judged(tasks, both.model, tokenizer, rows, dataset)


if __name__ == "__main__":
    raise SystemExit(main())
