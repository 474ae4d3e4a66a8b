"""Compress M6-Rec's click model: quality, bytes, milliseconds and energy of each method.

    python -m experiments compressing --dataset bazaar --seed 0
    python -m experiments compressing --dataset bazaar-wide --variant dense-10m pruned-2m --seed 0

Every network is trained on the same sampled impressions for the same number of passes, without
pretraining, in bf16 if the processor has it (the record says so), and judged and timed in fp32.
``pruned-2m`` is a dense 10 M network of which 80 % of the weights are pruned during these passes.
Variants in few bits quantize an earlier one. Early exit has a row a threshold.

The test rows are all clicked ones of the latest tenth, and ``--negatives`` others for each: the AUC
is that of all rows, with a wider interval. Differences of AUC from ``dense-10m`` and ``dense-2m``
have paired intervals over users. Late interaction is timed with an empty cache (cold) and after the
same requests (warm). Energy is a formula (``energy_joules``). Peak memory is that of a process that
serves the file within 512 MiB.

Each variant is a record, and so is each threshold of an early exit; the page
``results/compressing.md`` is written from them (``--page``). Files and probabilities go to
``runs/compressing/``. A variant that is recorded is skipped, so the command can be killed and
repeated. The whole table, in this order:

    python -m experiments compressing --seed 0
    python -m experiments compressing --seed 1 2 --variant dense-10m dense-2m dense-600k \\
        pruned-2m late-1
    python -m experiments compressing --dataset bazaar-wide --seed 0 1 2
    python -m experiments compressing --page --variant
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.compressed_variants import REGISTERED, VARIANTS, Variant
from experiments.pages.compressing import write_page
from experiments.records import Records, RunKey
from experiments.request_costs import request_costs
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.evaluation.ctr import auc
from m6rec_lite.evaluation.ctr_compare import compare_auc
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import (
    EarlyExitScoring,
    Examples,
    GradualPruning,
    M6RecConfig,
    M6RecModel,
    MultiTaskModel,
    PromptBuilder,
    RelationDistillation,
    Scoring,
    StatisticsVerbalizer,
    TaskBatches,
    Weights,
    count_nonzero,
    load_compressed,
    quantize_dynamic,
    quantize_weights,
    save_compressed,
    serve_limited,
    train_jointly,
)
from m6rec_lite.m6rec.optimizer import make_adamw
from m6rec_lite.m6rec.pretraining import native_precision
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import fit

#: The short phrases about a shown item, of ``tasks/scoring.json``.
FEATURES = ("brief",)
#: Variants with which the others are compared.
REFERENCES = ("dense-10m", "dense-2m")
THRESHOLDS = (0.8, 0.9, 0.95, 0.98)
#: Options that make another measurement: default and meaning.
SETTINGS: dict[str, tuple[Any, str]] = {
    "clicks": (700, "clicked rows of an epoch"),
    "negatives": (4.0, "other rows for each"),
    "epochs": (3, "passes over the rows"),  # after one, some seeds only know the click rate
    "events": (1, "of a history that are read"),
    "max_tokens": (256, "of a row"),
    "tokens": (2048, "of a batch"),
    "lr": (2e-3, "at a width of 160"),
}
#: Requests answered by the limited process, and its limit.
SERVED, MEMORY_MIB = 20, 512


class Compressing:
    """Training and measuring of variants on one data set and seed.

    Args:
        dataset: with impressions.
        options: of the command line.
        seed: of the draw of rows, of new weights and of the order of batches.
    """

    def __init__(self, dataset: Dataset, options: argparse.Namespace, seed: int) -> None:
        self.dataset, self.options, self.seed = dataset, options, seed
        self.records = Records(options.root / "results")
        values = {name: getattr(options, name) for name in SETTINGS}
        self.extra = " ".join(
            f"{name}={v:g}" for name, v in values.items() if v != SETTINGS[name][0]
        )
        folder = "-".join([f"seed{seed}", *self.extra.split()])
        self.precision = native_precision("cpu")
        self.folder = options.root / "runs" / "compressing" / dataset.name / folder
        self.text = BehaviourText(dataset, "compact")
        self.tokenizer = make_tokenizer(dataset, self.text)
        assert dataset.impressions is not None
        self.train, _, test = split_by_time(dataset.impressions)
        labels = test["clicked"].to_numpy(np.float64)
        draw = Scoring(1, negatives=options.negatives).sample_negatives(labels, seed=0)[0]
        self.test = test.iloc[draw].reset_index(drop=True)
        self.truth = self.test["clicked"].to_numpy(np.int64)

    def key(self, name: str, threshold: float | None = None) -> RunKey:
        """Return the key of a variant's record."""
        exit_at = "" if threshold is None else f"threshold={threshold:g}"
        variant = f"{exit_at} {self.extra}".strip()
        return RunKey("compressing", self.dataset.name, name, variant, self.seed)

    def run(self, name: str) -> None:
        """Train or quantize a variant, measure it, and write its records."""
        variant, clock = VARIANTS[name], time.process_time()
        both = self.load(variant.source) if variant.source else self.fit(variant)
        costs: dict[str, float] = {
            "fit_cpu_seconds": np.nan if variant.source else time.process_time() - clock,
            "parameters": sum(weight.numel() for weight in both.model.parameters()),
            "nonzero": count_nonzero(both.model),
        }
        about: dict[str, Any] = {}
        if variant.bits == 0:  # such a network cannot be stored
            about["library"] = quantize_dynamic(both.model)
        else:
            if variant.bits is not None:
                quantize_weights(both.model, variant.bits)
            self.folder.mkdir(parents=True, exist_ok=True)
            costs["bytes"] = save_compressed(both, self.tokenizer, self.file(name))
        task, examples = both.task("scoring"), self.examples(both)
        if variant.bits != 0:
            served = zip(examples.known[:SERVED], examples.written[:SERVED], strict=True)
            costs["peak_mib"] = serve_limited(self.file(name), served, MEMORY_MIB)[1]
        # the record of the variant itself is the last: with it, the variant is finished
        for threshold in (*(THRESHOLDS if isinstance(task, EarlyExitScoring) else ()), None):
            if isinstance(task, EarlyExitScoring):
                task.threshold = threshold
            key = self.key(name, threshold)
            report = about | self.quality(key, both, examples)
            report["costs"] |= costs | request_costs(both, examples)
            self.record(key, report)

    def record(self, key: RunKey, report: dict[str, Any]) -> None:
        """Write a record and print its line."""
        auc, costs = report["metrics"]["auc"], report["costs"]
        report["headline"] = {"auc": auc, "ms": costs["p50_ms"]}
        command = f"python -m experiments compressing --dataset {key.dataset} --variant {key.model}"
        command += f" --seed {key.seed}"
        for setting in self.extra.split():
            command += f" --{setting.replace('_', '-').replace('=', ' ')}"
        settings = {name: getattr(self.options, name) for name in SETTINGS}
        settings |= VARIANTS[key.model].describe() | {"precision": self.precision}
        self.records.start(key, command=command, settings=settings)
        self.records.finish(key, report)
        low, high = report["intervals"]["auc"]
        print(
            f"{key.model} {key.variant}, seed {key.seed}: AUC {auc:.4f} [{low:.4f}, {high:.4f}], "
            f"{costs['p50_ms']:.2f} ms, {costs.get('bytes', np.nan) / 1024:,.0f} KiB",
            flush=True,
        )

    def fit(self, variant: Variant) -> MultiTaskModel:
        """Train a new network."""
        options = self.options
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            config = M6RecConfig.of_size(variant.size, self.tokenizer, dropout=0.1)
            model = M6RecModel(config)
            if variant.change is not None:
                variant.change(model)
            task = variant.task(
                config.hidden_size, 2, FEATURES, options.events, options.negatives,
                **variant.settings,
            )  # fmt: skip
        labels = self.train["clicked"].to_numpy(np.float64)
        limit = int(options.clicks * (options.negatives + 1))
        drawn, task.negative_share = task.sample_negatives(labels, limit=limit, seed=self.seed)
        prompts = PromptBuilder(self.text, self.tokenizer, options.max_tokens)
        examples = task.encode(self.train.iloc[drawn], self.dataset, prompts, fit=True)
        batches = TaskBatches(examples, options.tokens)
        steps = options.epochs * len(batches.epoch(self.seed, 0))
        print(f"  {len(examples):,} rows, {steps:,} steps", flush=True)
        both = MultiTaskModel(model, {"scoring": task})
        if variant.teacher:
            self.distill(model, self.load(variant.teacher).model, batches, steps)
        train_jointly(
            both,
            {"scoring": batches},
            Weights(finetune={"scoring": 1.0}),
            steps=steps,
            lr=options.lr * (160 / config.hidden_size),  # as in ``scaling``: by the inverse width
            callbacks=[GradualPruning(variant.prune)] if variant.prune else (),
            seed=self.seed,
            device="cpu",
            precision=self.precision,
            progress=not options.quiet,
        )
        return both

    def distill(
        self, student: M6RecModel, teacher: M6RecModel, batches: TaskBatches, steps: int
    ) -> None:
        """Train a student on the relations of a teacher."""
        warm = max(1, steps // 20)
        fit(
            student,
            batches,
            RelationDistillation(teacher, relation_heads=5),
            optimizer=make_adamw(student, lr=self.options.lr, weight_decay=0.01, betas=(0.9, 0.98)),
            schedule=warm_up(warm, 0.01, then=cosine(max(1, steps - warm), 0.05)),
            steps=steps,
            clip_norm=1.0,
            seed=self.seed,
            device="cpu",
            precision=self.precision,
            progress=not self.options.quiet,
        )

    def load(self, name: str) -> MultiTaskModel:
        """Return the network of an earlier variant."""
        file = self.file(name)
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: run --variant {name} --again first")
        return load_compressed(file)[0]

    def examples(self, both: MultiTaskModel) -> Examples:
        """Return the test rows, as this network's task encodes them."""
        task = both.task("scoring")
        assert isinstance(task, Scoring)
        prompts = PromptBuilder(self.text, self.tokenizer, self.options.max_tokens)
        return task.encode(self.test, self.dataset, prompts)

    def quality(self, key: RunKey, both: MultiTaskModel, examples: Examples) -> dict[str, Any]:
        """Return the AUC, its differences from ``REFERENCES``, and the mean number of layers."""
        task = both.task("scoring")
        layers = float(len(both.model.blocks))
        if isinstance(task, EarlyExitScoring):
            probability, each = task.predict_early(both.model, examples, task.threshold)
            layers = float(each.mean())
        else:
            probability = task.predict(both.model, examples)
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self.answers(key), probability)
        # the AUC of a constant is one half in every draw of users
        apart = self.difference(probability, np.zeros_like(probability))
        report: dict[str, Any] = {
            "on": "test",
            "metrics": {"auc": auc(self.truth, probability)},
            "intervals": {"auc": [0.5 + apart["low"], 0.5 + apart["high"]]},
            "costs": {"layers": layers},
            "minus": {},
        }
        for name in REFERENCES:
            path = self.answers(self.key(name))
            if key != self.key(name) and path.is_file():
                report["minus"][name] = self.difference(probability, np.load(path))
        return report

    def difference(self, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
        """Return the difference in AUC of two models' answers, with its interval over users."""
        test = compare_auc(self.truth, first, second, self.test["user_id"].to_numpy())
        return {"mean": test.mean_difference, "low": test.low, "high": test.high}

    def file(self, name: str) -> Path:
        """Return the file of a variant."""
        return self.folder / f"{name}.safetensors"

    def answers(self, key: RunKey) -> Path:
        """Return the file of the probabilities of the test rows."""
        return self.folder / f"{key.id}.npy"


def make_tokenizer(dataset: Dataset, text: BehaviourText, vocab_size: int = 2048) -> Tokenizer:
    """Train a tokenizer on the texts of items, users and statistics."""
    texts = [text.item(item) for item in dataset.items["item_id"].tolist()]
    if dataset.users is not None:
        texts += [text.user(user) for user in dataset.users["user_id"].tolist()]
    texts += text.templates.events.values()
    texts += [f", {words}" for words in StatisticsVerbalizer(FEATURES).examples()]
    return Tokenizer.train(dict.fromkeys(texts), vocab_size)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--variant", nargs="*", choices=list(VARIANTS), metavar="NAME",
                        help="default: all on bazaar, else the registered ones")  # fmt: skip
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    for name, (value, text) in SETTINGS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(value), default=value, help=text)
    parser.add_argument("--page", action="store_true", help="write results/compressing.md")


def run(options: argparse.Namespace) -> None:
    """Run each variant without a record, and write the page if asked to."""
    torch.set_num_threads(1)
    default = list(VARIANTS) if options.dataset == "bazaar" else list(REGISTERED)
    names = default if options.variant is None else options.variant
    comparisons: dict[int, Compressing] = {}
    for number, (seed, name) in enumerate(itertools.product(options.seed, names), 1):
        if seed not in comparisons:
            comparisons[seed] = Compressing(load_dataset(options.dataset), options, seed)
        of_seed = comparisons[seed]
        label = f"{name}, seed {seed} ({number} of {len(options.seed) * len(names)})"
        if of_seed.records.is_recorded(of_seed.key(name)) and not options.again:
            print(f"{label}: recorded before (--again repeats it)", flush=True)
            continue
        print(f"{label}: training and measuring ...", flush=True)
        of_seed.run(name)
    if options.page:
        write_page(options.root / "results")
