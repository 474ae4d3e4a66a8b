"""One M6-Rec for every task, beside single-task models and one that was not pretrained.

    python -m experiments one_model
    python -m experiments one_model --model runs/m6rec-tiny-large/model --templates compact

trains a pretrained M6-Rec jointly on seven tasks, saves it as one checkpoint, and lets that
checkpoint score (with the user's events), retrieve, rank and write. Beside it stand, on the same
test examples,

- a model for each task alone, after as many steps of the optimizer;
- a model for each task alone, after as many tokens;
- the same joint training from new weights.

Each model takes the learning rate and the round of the lowest validation loss; a model of equal
tokens takes the learning rate of its task at equal steps. The trainings are in ``runs/one_model``;
the same command continues an interrupted run. ``results --only pages`` writes the table.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from experiments.joint_runs import JointRuns, Settings
from experiments.records import Records, RunKey
from experiments.task_sets import FIGURES, Limits
from experiments.tasks import CHECKPOINT
from m6rec_lite.data import load_dataset

#: Names of the models in the records. The first is the one that all others are compared with.
JOINT, FRESH = "one model, joint", "one model, joint, not pretrained"
STEPS, TOKENS = "a model a task, equal steps", "a model a task, equal tokens"

#: Settings by scale; ``model``, ``templates`` and ``seed`` are options.
SCALES: dict[str, Settings] = {
    "smoke": Settings(
        "",
        steps=2,
        lrs=(3e-3,),
        rounds=1,
        limits=Limits(rows=40, tokens=256, validation=4, test=8),
    ),
    "laptop": Settings(""),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--model", default=CHECKPOINT, help="pretrained, from the project's root")
    parser.add_argument("--templates", default="default", help="those of the pretraining")
    parser.add_argument("--scale", choices=SCALES, default="laptop")
    parser.add_argument("--steps", type=int, help="of the joint training (default: the scale's)")
    parser.add_argument("--max-tokens", type=int, help="of a row (default: the task's own)")
    parser.add_argument("--save", type=Path, help="folder to copy the joint checkpoint to")
    parser.add_argument("--device", help="cpu, cuda, …; by default the best there is")
    parser.add_argument("--seed", type=int, default=0)


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings of the command line."""
    settings = replace(
        SCALES[options.scale],
        model=options.model,
        templates=options.templates,
        seed=options.seed,
    )
    if options.steps is not None:
        settings = replace(settings, steps=options.steps)
    if options.max_tokens is not None:
        limits = replace(settings.limits, max_tokens=options.max_tokens)
        settings = replace(settings, limits=limits)
    return settings


def variant_of(settings: Settings) -> str:
    """Return what the records of a run have in common besides the data set and the seed."""
    return f"{settings.model}, {settings.steps} steps"


def train_all(runs: JointRuns) -> dict[str, dict[str, dict[str, Any]]]:
    """Train and judge every model: by the model's name, the training of each task."""
    names, trained = runs.names, dict[str, dict[str, dict[str, Any]]]()
    for model, label, pretrained in ((JOINT, "joint", True), (FRESH, "joint new", False)):
        best = runs.best_of(label, names, pretrained=pretrained)
        trained[model] = dict.fromkeys(names, best)
    trained[STEPS], trained[TOKENS] = {}, {}
    for name in names:
        best = runs.best_of(f"{name} steps", [name], pretrained=True)
        trained[STEPS][name] = best
        steps = runs.equal_tokens(name)
        trained[TOKENS][name] = runs.train(
            f"{name} tokens", [name], pretrained=True, steps=steps, lr=best["lr"]
        )
    return trained


def report_of(
    runs: JointRuns, trained: Mapping[str, dict[str, Any]], joint: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the report of a model: each task's figure, cost, and difference to the joint model.

    Args:
        runs: the trainings.
        trained: training of each task.
        joint: those of the joint model.
    """
    tasks = {}
    for name, training in trained.items():
        of_it = [other for other in trained if trained[other] == training]
        figures = runs.answer(training, of_it)[name]
        tasks[name] = {"figure": FIGURES[name]} | figures
        tasks[name] |= {k: training[k] for k in ("lr", "steps", "kept", "tokens", "seconds")}
        if training != joint[name]:
            tasks[name]["joint minus this"] = runs.compare(name, joint[name], training)
    headline = {name: task["value"] for name, task in tasks.items() if task["value"] is not None}
    return {"headline": headline, "tasks": tasks}


def run(options: argparse.Namespace) -> None:
    """Train and judge what is not done, and record a run for each of the four models."""
    settings = settings_of(options)
    records = Records(options.root / "results")
    variant = variant_of(settings)
    keys = {
        model: RunKey("one_model", options.dataset, model, variant, options.seed)
        for model in (JOINT, FRESH, STEPS, TOKENS)
    }
    if all(records.is_recorded(key) for key in keys.values()) and not options.again:
        print(f"recorded before: {', '.join(key.id for key in keys.values())}")
        return
    out = options.root / "runs" / "one_model" / keys[JOINT].id
    if options.again:
        shutil.rmtree(out, ignore_errors=True)
    runs = JointRuns(
        settings,
        load_dataset(options.dataset),
        options.root,
        out,
        device=options.device,
        progress=not options.quiet,
    )
    trained = train_all(runs)
    for model, trainings in trained.items():
        report = report_of(runs, trainings, trained[JOINT])
        records.start(
            keys[model],
            command=options.command,
            settings=asdict(settings),
            split_hash=runs.data.split.hash,
        )
        records.finish(keys[model], report)
        figures = ", ".join(f"{name} {value:.3f}" for name, value in report["headline"].items())
        print(f"{model}: {figures}")
    if options.save is not None:
        folder = out / trained[JOINT][runs.names[0]]["folder"]
        shutil.copytree(folder, options.save, dirs_exist_ok=True)
