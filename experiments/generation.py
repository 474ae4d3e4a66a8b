"""One model tuned on the four generation tasks at once, and the text that it writes.

    python -m experiments generation --steps 2000

starts from the pretrained checkpoint, trains it jointly (``m6rec.tasks.joint``: explanation as the
task wanted most, the others as the multi-task part, weighted by alpha), saves model and heads into
one folder, and evaluates each task on examples that it has not learned from, beside answers that
need no model. Killed and started again, the training continues. Rows go to
``results/tasks/<dataset>.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments.tasks import CHECKPOINT, KEY, record
from m6rec_lite.data import load_dataset
from m6rec_lite.evaluation.significance import bootstrap_interval
from m6rec_lite.evaluation.text import perplexity
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import (
    TASKS,
    Examples,
    MultiTaskModel,
    TaskBatches,
    TaskData,
    Weights,
    train_jointly,
)
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask

#: How users are described in a row of each task, and its tokens at most: no more than it needs.
CONTEXTS: dict[str, tuple[Mapping[str, Any], int]] = {
    "explanation": ({"context": ("locale",)}, 256),
    "query": ({"context": ("gender", "age_band", "locale", "month")}, 128),
    "design": (
        {"context": ("gender", "age_band", "locale", "month"), "queries": "none"},
        160,
    ),
    "conversation": ({}, 192),
}
#: The parts whose perplexity is measured, and for each the part whose answers are evaluated.
PARTS: dict[str, dict[str, str]] = {
    "explanation": {"test": "test", "writers": "writers"},
    "query": {"test": "test", "people": "people"},
    "design": {"test": "test"},
    "conversation": {"held out": "test"},
}
#: Further answers of the model, by the options of ``predict``.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "conversation": {"M6-Rec, unbound": {"constrained": False}}
}
#: Metrics that the records know by another name.
RECORDED = {("conversation", "exists"): "item exists"}
#: Examples of a part, at most.
LIMIT = 2000


def measure(
    task: GenerationTask,
    model: M6RecModel,
    train: Examples,
    data: TaskData,
    prompts: PromptBuilder,
) -> Iterator[dict[str, Any]]:
    """Yield a task's figures on every part: the model's, and those of answers that need none."""
    for part, evaluated in PARTS[task.name].items():
        examples = task.build_examples(data, prompts, part)[:LIMIT]
        about = {"task": task.name, "part": part, "n": len(examples)}
        nats = perplexity(*task.log_likelihood(model, examples))
        yield about | {"model": "M6-Rec", "metric": "perplexity", "value": nats}
        examples = task.build_examples(data, prompts, evaluated)[:LIMIT]
        answers = {"M6-Rec": task.predict(model, examples)}
        for name, how in VARIANTS.get(task.name, {}).items():
            answers[name] = task.predict(model, examples, **how)
        if task.name == "query":
            texts = examples.about["text"]
            answers["people"] = [Generation.of((None, text)) for text in texts]
        answers |= task.baselines(train, examples, data)
        right = {
            name: task.per_example(outputs, examples, data) for name, outputs in answers.items()
        }
        for name, outputs in answers.items():
            for metric, value in task.evaluate(outputs, examples, data).items():
                row = {"metric": RECORDED.get((task.name, metric), metric), "value": value}
                if metric in right[name]:
                    row |= interval(right[name][metric])
                yield about | {"model": name, "n": len(examples)} | row
        if "most frequent aspect" in answers:
            yield about | {"model": "M6-Rec"} | aspect_ratio(right)


def interval(values: np.ndarray) -> dict[str, float]:
    """Return the interval of a mean over examples; those of NaN do not count."""
    values = values[~np.isnan(values)]
    if not len(values):
        return {}
    low, high = bootstrap_interval(values)
    return {"low": float(low), "high": float(high)}


def aspect_ratio(right: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Return how much more often the model names the true aspect than the most frequent one is."""
    name, other = "true aspect", "most frequent aspect"
    model, most = right["M6-Rec"][name], right[other][name]
    row: dict[str, Any] = {"metric": f"{name} / {other}", "value": float("nan")}
    if most.any():
        draws = np.random.default_rng(0).integers(len(most), size=(1000, len(most)))
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw may hold none of either
            ratios = model[draws].mean(axis=1) / most[draws].mean(axis=1)
        low, high = np.nanquantile(ratios, [0.025, 0.975], method="nearest")
        row |= {"value": model.mean() / most.mean(), "low": low, "high": high}
    return row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--model", default=CHECKPOINT, help="folder, from the project's root")
    parser.add_argument("--tasks", nargs="+", choices=CONTEXTS, default=list(CONTEXTS))
    parser.add_argument("--wanted", choices=CONTEXTS, default="explanation", help="L_finetune")
    parser.add_argument("--alpha", type=float, default=1.0, help="of the other tasks together")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=2048, help="of a task's batch")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> None:
    """Train, save, evaluate; write the rows and print them."""
    dataset = load_dataset(options.dataset)
    data = TaskData.of(dataset)
    tokenizer = Tokenizer.load(options.root / options.model)
    model = M6RecModel.from_pretrained(options.root / options.model)
    tasks = {name: TASKS[name]() for name in options.tasks}
    prompts = {
        name: PromptBuilder(BehaviourText(dataset, **said), tokenizer, longest)
        for name, (said, longest) in CONTEXTS.items()
    }
    train = {name: task.build_examples(data, prompts[name]) for name, task in tasks.items()}
    others = {name: 1.0 for name in tasks if name != options.wanted}
    wanted = {options.wanted: 1.0} if options.wanted in tasks else {}
    weights = Weights(alpha=options.alpha, tasks=others, finetune=wanted)
    sources = {
        name: TaskBatches(train[name], options.tokens, pad=tokenizer.pad)
        for name in weights.shares()
    }
    both = MultiTaskModel(model, tasks)
    folder = options.root / "runs" / "together" / f"{options.dataset}-seed{options.seed}"
    train_jointly(
        both,
        sources,
        weights,
        steps=options.steps,
        round_steps=max(1, options.steps // 10),
        lr=options.lr,
        checkpoint=folder / "checkpoints",
        seed=options.seed,
        progress=not options.quiet,
    )
    both.eval()
    both.save(folder / "model", tokenizer)
    rows = [
        row
        for name, task in tasks.items()
        for row in measure(task, both.model, train[name], data, prompts[name])
    ]
    record(options, "tasks", KEY, rows)
