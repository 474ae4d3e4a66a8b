"""Adapt the pretrained M6-Rec by one method to one task, with all rows or with few.

    python -m experiments adapting --method lora --task ctr --rows 1024 --seed 0
    python -m experiments adapting --method full head lora --task ctr cvr next --rows all
    python -m experiments adapting --page

Every combination of the options is a cell; recorded cells are skipped, so that the table can be
measured in parts. A cell starts from ``checkpoints/bazaar-m6rec``. Its learning rate is the better
of two on validation: with more rows than 1,024, or another seed than 0, it is the one that was
chosen with 1,024 rows and seed 0, if that cell is recorded. The weights are those of the round with
the best validation figure. ``--rows all`` takes at most ``MOST_ROWS`` of a task. ``--page`` writes
``results/adapting.md``. The whole table, in this order:

    python -m experiments adapting --method METHODS --task ctr cvr next --rows 1024 all
    python -m experiments adapting --method full head lora options_and_adapters --seed 1 2
    python -m experiments adapting --method full head lora options_and_adapters \\
        --rows 16 64 256 1024 --seed 0 1 2
    python -m experiments adapting --method full head lora options_and_adapters --task likes \\
        --rows 16 64 256 --seed 0 1 2 --page
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.adapted_tasks import (
    DATASETS,
    LABELS,
    TASKS,
    Question,
    Result,
    ScoringQuestion,
    make_question,
)
from experiments.pages.adapting import write_page
from experiments.records import REPORT, Records, RunKey, summary
from m6rec_lite.data import load_dataset
from m6rec_lite.data.result_files import read_json
from m6rec_lite.language.models.model_folder import quiet
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import (
    AdaLoRA,
    Adapted,
    Adapters,
    Combined,
    Examples,
    FineTuning,
    LoRA,
    M6RecModel,
    OptionAdapter,
    OptionTuning,
    PrefixTuning,
    PromptTuning,
    RankAllocator,
    TaskBatches,
    parameter_groups,
)
from m6rec_lite.m6rec.adapt.method import Method
from m6rec_lite.m6rec.tasks import JointBatches, Retrieval
from m6rec_lite.nn import cosine, warm_up
from m6rec_lite.training import EarlyStopping, fit

CHECKPOINT = "checkpoints/bazaar-m6rec"
#: Methods, most of them with about 1 % of the weights, and two learning rates each.
METHODS: dict[str, tuple[Method, tuple[float, float]]] = {
    "full": (FineTuning(), (3e-4, 1e-3)),
    "head": (FineTuning("head"), (3e-3, 1e-2)),
    "bitfit": (FineTuning("biases"), (1e-3, 3e-3)),
    "adapters": (Adapters(8), (1e-3, 3e-3)),
    "lora": (LoRA(2), (1e-3, 3e-3)),
    "adalora": (AdaLoRA(3, 2), (1e-3, 3e-3)),
    "prefix": (PrefixTuning(16), (3e-3, 1e-2)),
    "prompt": (PromptTuning(16), (3e-3, 1e-2)),
    "options": (OptionTuning(16), (3e-3, 1e-2)),
    "option_adapter": (OptionAdapter(16), (1e-3, 3e-3)),
    "options_and_adapters": (Combined([OptionTuning(16), OptionAdapter(16)]), (1e-3, 3e-3)),
}
#: Methods that need a task with classes.
WITH_CLASSES = ("options", "options_and_adapters")
#: The rows and the seed with which learning rates are chosen for the larger cells.
TUNING_ROWS, TUNING_SEED = 1024, 0
#: Learning rate of a task's own head.
HEAD_LR = 3e-3
#: Passes over the rows; least and most steps of the optimizer; validations in that time.
EPOCHS, LEAST_STEPS, ROUNDS = 2, 60, 3
TOKENS = 2048  # of a batch
#: Training rows of ``--rows all``, so that a cell takes about a minute of one core.
MOST_ROWS = {"ctr": 3072, "cvr": 3072, "next": 1536, "likes": 3072}
#: Tokens of a row, at most; positions are rotary, so rows may be longer than in pretraining.
MOST_TOKENS = 192


@dataclass(frozen=True)
class Cell:
    """One measurement of the table.

    Attributes:
        method: a name of ``METHODS``.
        task: a name of ``TASKS``.
        rows: of training; None for all.
        seed: of the draw of rows, of new weights and of the order of batches.
        extra: what differs from the defaults, as text.
    """

    method: str
    task: str
    rows: int | None
    seed: int
    extra: str = ""

    @property
    def key(self) -> RunKey:
        """The key of the record."""
        rows = "all" if self.rows is None else self.rows
        variant = f"{self.task} rows={rows} {self.extra}".strip()
        return RunKey("adapting", DATASETS[self.task], self.method, variant, self.seed)


def train(
    adapted: Adapted,
    question: Question,
    examples: Examples,
    lr: float,
    *,
    seed: int,
    most_steps: int | None,
) -> float:
    """Train an adapted model, keep its best round, and return that round's validation figure."""
    batches = TaskBatches(examples, TOKENS)
    steps = max(LEAST_STEPS, EPOCHS * len(batches.epoch(seed, 0)))
    steps = steps if most_steps is None else min(steps, most_steps)
    round_steps = -(-steps // ROUNDS)
    groups = parameter_groups(adapted.model, adapted.task, lr=lr, head_lr=HEAD_LR)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    total = round_steps * ROUNDS
    if isinstance(adapted.method, AdaLoRA):
        allocator = RankAllocator(
            adapted.model,
            adapted.method.target_rank,
            total,
            warm_up=total // 5,
            settle=total // 3,
        )
        allocator.follow(optimizer)
    warm = max(1, total // 10)
    best = EarlyStopping("validation", mode="max", patience=ROUNDS)
    fit(
        adapted,
        JointBatches({"rows": batches}, round_steps),
        lambda adapted, batch: adapted.loss(batch["rows"]),
        optimizer=optimizer,
        schedule=warm_up(warm, 0.01, then=cosine(max(1, total - warm), 0.05)),
        epochs=ROUNDS,
        validate=lambda adapted: {"validation": question.validate(adapted)},
        callbacks=[best],
        clip_norm=1.0,
        seed=seed,
        progress=False,
    )
    return float(best.best or 0.0)


def run_cell(
    cell: Cell,
    question: Question,
    load: Callable[[], M6RecModel],
    rates: tuple[float, ...],
    most_steps: int | None,
) -> tuple[dict[str, Any], Result]:
    """Train and evaluate a cell.

    Returns:
        What is recorded besides the metrics, and the result on the test rows.
    """
    examples = question.train(cell.rows or MOST_ROWS[cell.task], cell.seed)
    method, tried = METHODS[cell.method][0], dict[float, tuple[float, float, Adapted]]()
    for lr in rates:
        with torch.random.fork_rng():
            torch.manual_seed(cell.seed)
            model = load()
            task = question.task(model)
            if isinstance(task, Retrieval):
                task.count(examples.target)  # for the log-Q correction
        adapted, clock = Adapted(model, method, task, seed=cell.seed), time.process_time()
        value = train(adapted, question, examples, lr, seed=cell.seed, most_steps=most_steps)
        tried[lr] = (value, time.process_time() - clock, adapted)
    lr = max(tried, key=lambda rate: tried[rate][0])
    value, seconds, adapted = tried[lr]
    clock = time.process_time()
    result = question.test(adapted)
    costs = {**adapted.summary(), "rows": len(examples), "fit_cpu_seconds": round(seconds, 2)}
    costs["test_cpu_seconds"] = round(time.process_time() - clock, 2)
    chosen = {"lr": lr, "validation": {f"{rate:g}": round(v[0], 6) for rate, v in tried.items()}}
    return {"costs": costs, "chosen": chosen}, result


def pretrained(folder: Path) -> M6RecModel:
    """Return the pretrained model, with dropout for training."""
    with quiet():
        return M6RecModel.from_pretrained(folder, dropout=0.1)


def rates_of(cell: Cell, records: Records) -> tuple[float, ...]:
    """Return the learning rates that a cell tries."""
    rates = METHODS[cell.method][1]
    larger = cell.rows is None or cell.rows > TUNING_ROWS
    if larger or cell.seed != TUNING_SEED:
        rows = TUNING_ROWS if larger else cell.rows
        key = Cell(cell.method, cell.task, rows, TUNING_SEED, cell.extra).key
        if records.is_recorded(key):
            return (float(read_json(records.folder(key) / REPORT)["chosen"]["lr"]),)
    return rates


def record(
    cell: Cell,
    records: Records,
    options: argparse.Namespace,
    question: Question,
    about: dict[str, Any],
    result: Result,
) -> None:
    """Write a cell's record, and compare its answers with those of full fine-tuning."""
    name, key = question.metric, cell.key
    report = about | {"on": "test", "intervals": {name: [result.low, result.high]}}
    report["metrics"] = {metric: round(value, 6) for metric, value in result.metrics.items()}
    report["headline"] = {name: result.metrics[name], "trained": about["costs"]["share"]}
    if result.report is not None:
        report = summary(result.report) | report
    answers = options.root / "runs" / "adapting"
    if result.answers is not None and isinstance(question, ScoringQuestion):
        full = Cell("full", cell.task, cell.rows, cell.seed, cell.extra).key
        _keep(answers / f"{key.id}.npy", result.answers)
        if key != full and (answers / f"{full.id}.npy").is_file():
            other = np.load(answers / f"{full.id}.npy")
            report["minus_full"] = question.difference(result.answers, other)
    command = f"python -m experiments adapting --method {cell.method} --task {cell.task}"
    command += f" --rows {'all' if cell.rows is None else cell.rows} --seed {cell.seed}"
    command += f" {cell.extra}" if cell.extra else ""
    records.start(key, command=command, settings=METHODS[cell.method][0].settings())
    records.finish(key, report, ranks=result.report)


def _keep(path: Path, answers: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, answers.astype(np.float64))


def number_of_rows(text: str) -> int | None:
    """Return a number of training rows; None for ``all``."""
    if text == "all":
        return None
    if not text.isdigit() or int(text) < 2:
        raise ValueError(f"rows must be numbers of at least 2, or all; got {text!r}")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--method", nargs="+", choices=METHODS, default=[])
    parser.add_argument("--task", nargs="+", choices=TASKS, default=["ctr"])
    parser.add_argument("--rows", nargs="+", default=["all"], help="numbers, or all")
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, help="of the optimizer, at most")
    parser.add_argument("--test-rows", type=int, default=3000, help="of test, at most; half: users")
    parser.add_argument("--page", action="store_true", help="write results/adapting.md")


def run(options: argparse.Namespace) -> None:
    """Measure every cell without a record, and write the page if asked to."""
    records, extra = Records(options.root / "results"), ""
    for name, default in (("steps", None), ("test_rows", 3000)):
        if (value := getattr(options, name)) != default:
            extra += f" --{name.replace('_', '-')} {value}"
    folder, questions = options.root / CHECKPOINT, dict[str, Question]()
    for task, rows, seed, method in itertools.product(
        options.task, options.rows, options.seed, sorted(options.method, key=list(METHODS).index)
    ):
        cell = Cell(method, task, number_of_rows(rows), seed, extra.strip())
        label = f"{method}, {cell.key.variant}, seed {seed}"
        if task == "next" and method in WITH_CLASSES:
            print(f"{label}: needs a task with classes")
            continue
        if records.is_recorded(cell.key) and not options.again:
            print(f"{label}: recorded before (--again repeats it)")
            continue
        if task not in questions:
            n_test = options.test_rows if task in LABELS else options.test_rows // 2
            sizes = {"max_tokens": MOST_TOKENS, "n_test": n_test}
            sizes["n_validation"] = max(50, n_test // 6)
            tokenizer = Tokenizer.load(folder)
            questions[task] = make_question(task, load_dataset(DATASETS[task]), tokenizer, **sizes)
        about, result = run_cell(
            cell,
            questions[task],
            lambda: pretrained(folder),
            rates_of(cell, records),
            options.steps,
        )
        record(cell, records, options, questions[task], about, result)
        metric = questions[task].metric
        print(
            f"{label}: {metric} {result.metrics[metric]:.4f} [{result.low:.4f}, "
            f"{result.high:.4f}], {about['costs']}",
            flush=True,
        )
    if options.page:
        write_page(options.root / "results")
