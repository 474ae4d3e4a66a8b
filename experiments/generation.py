"""Train one model jointly on the four generation tasks and evaluate its text.

    python -m experiments generation --steps 2000

starts from the pretrained checkpoint, trains it jointly (``m6rec.tasks.joint``: explanation as the
fine-tuning task, the others as the multi-task part, weighted by alpha), saves model and heads to
one folder, and evaluates each task on held-out examples, with baselines that need no model. An
interrupted training continues when started again. Rows go to ``results/tasks/<dataset>.csv``.
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
    Conversation,
    Design,
    Examples,
    Explanation,
    MultiTaskModel,
    Query,
    TaskBatches,
    TaskData,
    Weights,
    train_jointly,
)
from m6rec_lite.m6rec.tasks.generation import Generation, GenerationTask

#: The tasks by their names.
TASKS = {kind.name: kind for kind in (Explanation, Design, Query, Conversation)}
#: Description of the user in a row of each task, and its maximum number of tokens.
CONTEXTS: dict[str, tuple[Mapping[str, Any], int]] = {
    "explanation": ({"context": ("locale",)}, 256),
    "query": ({"context": ("gender", "age_band", "locale", "month")}, 128),
    "design": (
        {"context": ("gender", "age_band", "locale", "month"), "queries": "none"},
        160,
    ),
    "conversation": ({}, 192),
}
#: Parts whose perplexity is measured -> part whose generated answers are evaluated.
PARTS: dict[str, dict[str, str]] = {
    "explanation": {"test": "test", "writers": "writers"},
    "query": {"test": "test", "people": "people"},
    "design": {"test": "test"},
    "conversation": {"held out": "test"},
}
#: Further predictions of the model, with these options of ``predict``.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "conversation": {"M6-Rec, unbound": {"constrained": False}}
}
#: Metrics that have another name in the records.
RECORDED = {("conversation", "exists"): "item exists"}
#: Maximum number of examples of a part.
LIMIT = 2000


def measure(
    task: GenerationTask,
    model: M6RecModel,
    train: Examples,
    data: TaskData,
    prompts: PromptBuilder,
) -> Iterator[dict[str, Any]]:
    """Yield the metrics of a task on every part, of the model and of the baselines."""
    for part, evaluated in PARTS[task.name].items():
        examples = task.build_examples(data, prompts, part)[:LIMIT]
        common = {"task": task.name, "part": part, "n": len(examples)}
        value = perplexity(*task.log_likelihood(model, examples))
        yield common | {"model": "M6-Rec", "metric": "perplexity", "value": value}
        examples = task.build_examples(data, prompts, evaluated)[:LIMIT]
        answers = {"M6-Rec": task.predict(model, examples)}
        for name, settings in VARIANTS.get(task.name, {}).items():
            answers[name] = task.predict(model, examples, **settings)
        if task.name == "query":
            texts = examples.about["text"]
            answers["people"] = [Generation.of((None, text)) for text in texts]
        answers |= task.baselines(train, examples, data)
        per_example = {
            name: task.per_example(outputs, examples, data) for name, outputs in answers.items()
        }
        for name, outputs in answers.items():
            for metric, value in task.evaluate(outputs, examples, data).items():
                row = {"metric": RECORDED.get((task.name, metric), metric), "value": value}
                if metric in per_example[name]:
                    row |= interval(per_example[name][metric])
                yield common | {"model": name, "n": len(examples)} | row
        if "most frequent aspect" in answers:
            yield common | {"model": "M6-Rec"} | aspect_ratio(per_example)


def interval(values: np.ndarray) -> dict[str, float]:
    """Return the interval of a mean over examples, without NaN."""
    values = values[~np.isnan(values)]
    if not len(values):
        return {}
    low, high = bootstrap_interval(values)
    return {"low": float(low), "high": float(high)}


def aspect_ratio(per_example: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Return the ratio of correct aspects of the model to those of the most frequent aspect."""
    name, other = "true aspect", "most frequent aspect"
    model, baseline = per_example["M6-Rec"][name], per_example[other][name]
    row: dict[str, Any] = {"metric": f"{name} / {other}", "value": float("nan")}
    if baseline.any():
        samples = np.random.default_rng(0).integers(len(baseline), size=(1000, len(baseline)))
        with np.errstate(divide="ignore", invalid="ignore"):  # a sample may have no correct aspect
            ratios = model[samples].mean(axis=1) / baseline[samples].mean(axis=1)
        low, high = np.nanquantile(ratios, [0.025, 0.975], method="nearest")
        row |= {"value": model.mean() / baseline.mean(), "low": low, "high": high}
    return row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--model", default=CHECKPOINT, help="folder, from the project's root")
    parser.add_argument("--tasks", nargs="+", choices=CONTEXTS, default=list(CONTEXTS))
    parser.add_argument("--wanted", choices=CONTEXTS, default="explanation", help="L_finetune")
    parser.add_argument("--alpha", type=float, default=1.0, help="weight of all other tasks")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of a task's batch")
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
        name: PromptBuilder(BehaviourText(dataset, **settings), tokenizer, max_tokens)
        for name, (settings, max_tokens) in CONTEXTS.items()
    }
    train = {name: task.build_examples(data, prompts[name]) for name, task in tasks.items()}
    others = {name: 1.0 for name in tasks if name != options.wanted}
    finetune = {options.wanted: 1.0} if options.wanted in tasks else {}
    weights = Weights(alpha=options.alpha, tasks=others, finetune=finetune)
    sources = {
        name: TaskBatches(train[name], options.tokens, pad=tokenizer.pad)
        for name in weights.shares()
    }
    joint = MultiTaskModel(model, tasks)
    folder = options.root / "runs" / "together" / f"{options.dataset}-seed{options.seed}"
    train_jointly(
        joint,
        sources,
        weights,
        steps=options.steps,
        round_steps=max(1, options.steps // 10),
        lr=options.lr,
        checkpoint=folder / "checkpoints",
        seed=options.seed,
        progress=not options.quiet,
    )
    joint.eval()
    joint.save(folder / "model", tokenizer)
    rows = [
        row
        for name, task in tasks.items()
        for row in measure(task, joint.model, train[name], data, prompts[name])
    ]
    record(options, "tasks", KEY, rows)
