"""Pretrain M6-Rec on a GPU within some minutes, and judge it on every task.

    python -m experiments gpu_run --prepare
    python -m experiments gpu_run --size small --minutes 10

``--prepare`` generates ``bazaar-large`` and writes the tokens of the texts, with the library, into
``runs/gpu_run``; it needs no GPU. The run measures a step, plainly and with each engineering change
(``throughput.json``), pretrains for as many steps as fit into half of the minutes, trains the model
jointly on the seven tasks for a quarter of them, and answers the test examples of ``bazaar`` with
that one checkpoint. An interrupted run continues when started again. ``--device cpu`` runs the same
on a CPU, for a test with ``--size nano``. ``docs/gpu-run.md`` has the details.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from experiments.joint_runs import JointRuns, Settings
from experiments.records import Records, RunKey
from experiments.task_sets import FIGURES, Limits
from m6rec_lite.data import load_dataset
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json
from m6rec_lite.m6rec import Plan, Pretraining, measure, pretrain, tokens
from m6rec_lite.m6rec.cost.measured_step import prepared_step
from m6rec_lite.m6rec.pretraining import plan_of
from m6rec_lite.m6rec.run_folder import next_event_tokens, read_report
from m6rec_lite.training.devices import make_accelerator

#: Shares of the minutes: pretraining and joint training. The rest is for tokens and answers.
PRETRAINING, TUNING = 0.5, 0.25
#: Learning rate of the joint training, tokens of a task's batch and weight decay by size.
TUNING_SETTINGS: dict[str, dict[str, float]] = {
    "nano": {"lr": 1e-3, "tokens": 1024},
    "tiny": {"lr": 7e-4, "tokens": 4096},
    "small": {"lr": 3e-4, "tokens": 8192},
    "base": {"lr": 1e-4, "tokens": 8192},
}
#: A joint step has a batch of each task, and of retrieval four times the tokens.
BATCHES_A_STEP = 10
#: Measured steps of each way, after as many that warm up or compile.
MEASURED = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--size", choices=TUNING_SETTINGS, default="small")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the whole run, about")
    parser.add_argument("--data", default="bazaar-large", help="data of pretraining")
    parser.add_argument("--library", default="stated", help="none, stated or shuffled")
    parser.add_argument("--context", type=int, default=512, help="tokens of a sequence")
    parser.add_argument("--lines", type=int, help="sequences of a batch (default: the size's)")
    parser.add_argument("--per-user", type=int, default=2, help="next events asked of a user")
    parser.add_argument("--test", type=int, default=300, help="test examples that write")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for a test")
    parser.add_argument("--prepare", action="store_true", help="only write the tokens")
    parser.add_argument("--seed", type=int, default=0)


def settings_of(options: argparse.Namespace, steps: int = 1) -> Pretraining:
    """Return the settings of pretraining."""
    return Pretraining(
        options.size,
        options.data,
        steps=steps,
        lines=options.lines,
        validations=4,
        context=options.context,
        templates="compact",
        next_event=2.0,
        per_user=options.per_user,
        library=options.library,
        seed=options.seed,
    )


def steps_within(seconds: float, seconds_a_step: float) -> int:
    """Return the number of steps that fit into some seconds, at least 1."""
    return max(1, int(seconds / seconds_a_step))


def planned_steps(options: argparse.Namespace, folder: Path) -> dict[str, int]:
    """Return the steps of both trainings, measured once and kept in ``steps.json``.

    An interrupted run must continue with the steps that it was started with.
    """
    path = folder / "steps.json"
    if path.is_file():
        return read_json(path)
    plan = plan_of(settings_of(options), make_accelerator(options.device))
    tuned = TUNING_SETTINGS[options.size]["tokens"] * BATCHES_A_STEP
    steps = {
        "pretraining": _steps(plan, PRETRAINING * 60 * options.minutes, options.device),
        "tuning": _steps(
            replace(plan, lines=max(1, round(tuned / plan.time))),
            TUNING * 60 * options.minutes,
            options.device,
        ),
    }
    write_text(path, json.dumps(steps) + "\n")
    return steps


def _steps(plan: Plan, seconds: float, device: str) -> int:
    return steps_within(seconds, measure(plan, device, steps=3).seconds)


def ways(plan: Plan, device: str) -> dict[str, tuple[Plan, bool]]:
    """Return what is measured: by name the plan, and whether its blocks are compiled."""
    half = replace(plan, precision="bf16")
    rows = {"fp32": (replace(plan, precision="fp32"), False), "bf16": (half, False)}
    if device.startswith("cuda"):  # on a CPU compiling takes longer than the test
        rows["bf16, compiled"] = (half, True)
    rows["bf16, recomputed"] = (replace(half, recompute=True), False)
    parts = replace(half, lines=max(1, plan.lines // 2), accumulate=2)
    rows["bf16, two parts a step"] = (parts, False)
    return rows


def throughput(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure a step in each of ``ways``, once; kept in ``throughput.json``.

    MFU is the speed of the model over that of a product of large matrices in the same precision.
    """
    path = folder / "throughput.json"
    if path.is_file():
        return read_json(path)
    rows = []
    plan = plan_of(settings_of(options), make_accelerator(options.device))
    for name, (each, compiled) in ways(plan, options.device).items():
        measured = measure(each, options.device, steps=MEASURED)
        seconds = _compiled_step(each, options.device) if compiled else measured.seconds
        speed = measured.seconds / seconds
        rows.append(
            {
                "way": name,
                "seconds": seconds,
                "tokens/s": measured.tokens_a_second * speed,
                "mfu": measured.utilisation * speed,
                "peak gb": None if math.isnan(measured.peak_bytes) else measured.peak_bytes / 1e9,
            }
        )
    write_text(path, json.dumps(rows, indent=1) + "\n")
    return rows


def _compiled_step(plan: Plan, device: str) -> float:
    """Return the median seconds of a step whose blocks are compiled."""
    model, _, step = prepared_step(plan, torch.device(device))
    for block in model.blocks:
        block.compile()
    seconds = []
    for _ in range(2 * MEASURED):
        clock = time.perf_counter()
        step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - clock)
    return statistics.median(seconds[MEASURED:])


def prepare(options: argparse.Namespace, folder: Path) -> None:
    """Write the tokenizer and the tokens, unless they are there."""
    settings, progress = settings_of(options), not options.quiet
    sets = [load_dataset(name) for name in settings.names]
    tokenizer, train, _ = tokens(settings, folder, lambda: sets, progress)
    asked, _ = next_event_tokens(settings, folder, lambda: sets, tokenizer, progress)
    counts = len(train.tokens) + (0 if asked is None else len(asked.tokens))
    print(f"{folder}: {counts:,} tokens")


def run(options: argparse.Namespace) -> None:
    """Prepare, pretrain, train jointly, answer, and record.

    Raises:
        ValueError: if a GPU is asked for and there is none.
    """
    folder = options.root / "runs" / "gpu_run" / f"{options.size}-{options.data}-{options.seed}"
    if options.prepare:
        prepare(options, folder)
        return
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            "a GPU was asked for and torch finds none: run it on a machine with one, or test the "
            "script with --device cpu --size nano --minutes 0.1; --prepare needs no GPU"
        )
    clock = time.perf_counter()
    steps, measured = planned_steps(options, folder), throughput(options, folder)
    pretraining = settings_of(options, steps["pretraining"])
    if not (folder / "report.json").is_file():
        pretrain(
            pretraining,
            folder,
            device=options.device,
            ngrams=False,
            command=options.command,
            progress=not options.quiet,
        )
    key = RunKey("gpu_run", "bazaar", f"M6-Rec {options.size}", _variant(options), options.seed)
    report = judge(options, folder, steps["tuning"])
    report["pretraining"] = {
        name: value
        for name, value in read_report(folder).items()
        if name in ("parameters", "seconds", "tokens read", "device", "held out", "next events")
    }
    report["throughput"] = measured
    report["minutes"] = round((time.perf_counter() - clock) / 60, 2)
    records = Records(options.root / "results")
    records.start(key, command=options.command, settings=asdict(pretraining))
    records.finish(key, report)
    for row in measured:
        print(f"{row['way']:<24} {row['tokens/s']:>12,.0f} tokens/s, MFU {row['mfu']:.1%}")
    for name, value in report["headline"].items():
        print(f"{name:<14} {FIGURES[name]:<12} {value:.4f}")


def judge(options: argparse.Namespace, folder: Path, steps: int) -> dict[str, Any]:
    """Train the pretrained model jointly, and return the figures of the one checkpoint."""
    tuning = TUNING_SETTINGS[options.size]
    model = (folder / "model").relative_to(options.root)
    settings = Settings(
        model.as_posix(),
        "compact",
        steps=steps,
        lrs=(tuning["lr"],),
        rounds=4,
        limits=Limits(tokens=int(tuning["tokens"]), test=options.test),
        seed=options.seed,
    )
    runs = JointRuns(
        settings,
        load_dataset("bazaar"),
        options.root,
        folder / "tasks",
        device=options.device,
        progress=not options.quiet,
    )
    training = runs.best_of("joint", runs.names, pretrained=True)
    tasks = runs.answer(training, runs.names)
    headline = {name: task["value"] for name, task in tasks.items() if task["value"] is not None}
    return {"headline": headline, "tasks": tasks, "training": training}


def _variant(options: argparse.Namespace) -> str:
    """Return the settings of the run as text."""
    library = "" if options.library == "none" else f", library {options.library}"
    return f"pretrained on {options.data}{library}, {options.minutes:g} minutes"
