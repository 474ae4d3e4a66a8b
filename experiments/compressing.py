"""Compress M6-Rec's click model: quality, bytes, milliseconds and energy of each method.

    python -m experiments compressing --rates
    python -m experiments compressing --dataset bazaar --seed 0
    python -m experiments compressing --dataset bazaar-wide --variant dense-10m pruned-2m --seed 0

Every network is trained on the same sampled impressions for the same number of passes, without
pretraining, in bf16 if the processor has it (the record says so), and judged and timed in fp32.
``pruned-2m`` is a dense 10 M network of which 80 % of the weights are pruned during these passes.
``--rates`` trains the dense network of each size once for each learning rate of ``RATES``; each
network takes the one with the best AUC on the bazaar's validation rows for its size.
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

    python -m experiments compressing --rates
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

from experiments.compressed_training import SETTINGS, ClickTraining
from experiments.compressed_variants import REGISTERED, VARIANTS
from experiments.pages.compressing import write_page
from experiments.records import REPORT, Records, RunKey
from experiments.request_costs import request_costs
from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation.ctr import auc
from m6rec_lite.evaluation.ctr_compare import compare_auc
from m6rec_lite.m6rec import (
    EarlyExitScoring,
    Examples,
    MultiTaskModel,
    count_nonzero,
    load_compressed,
    quantize_dynamic,
    quantize_weights,
    save_compressed,
    serve_limited,
)

#: Variants with which the others are compared.
REFERENCES = ("dense-10m", "dense-2m")
THRESHOLDS = (0.8, 0.9, 0.95, 0.98)
#: Learning rates at a width of 160 that are compared on validation; others by the inverse width.
RATES = (2.5e-4, 5e-4, 1e-3)
#: Variants of which the learning rates are compared, one for each size.
DENSE = ("dense-600k", "dense-2m", "dense-10m")
#: Requests answered by the limited process, and its limit.
SERVED, MEMORY_MIB = 20, 512


class Compressing(ClickTraining):
    """Training, measuring and recording of variants on one data set and seed.

    Args:
        dataset: with impressions.
        options: of the command line.
        seed: of the draw of rows, of new weights and of the order of batches.
    """

    def __init__(self, dataset: Dataset, options: argparse.Namespace, seed: int) -> None:
        super().__init__(dataset, options, seed)
        self.records = Records(options.root / "results")
        values = {name: getattr(options, name) for name in SETTINGS}
        self.extra = " ".join(
            f"{name}={v:g}" for name, v in values.items() if v != SETTINGS[name][0]
        )
        folder = "-".join([f"seed{seed}", *self.extra.split()])
        self.folder = options.root / "runs" / "compressing" / dataset.name / folder
        self.truth = self.test["clicked"].to_numpy(np.int64)

    def key(self, name: str, threshold: float | None = None) -> RunKey:
        """Return the key of a variant's record."""
        exit_at = "" if threshold is None else f"threshold={threshold:g}"
        variant = f"{exit_at} {self.extra}".strip()
        return RunKey("compressing", self.dataset.name, name, variant, self.seed)

    def run(self, name: str) -> None:
        """Train or quantize a variant, measure it, and write its records."""
        variant, clock, lr = VARIANTS[name], time.process_time(), 0.0
        if variant.source:
            both = self.load(variant.source)
        else:
            lr = self.options.lr or best_rate(self.records, variant.size)
            teacher = self.load(variant.teacher).model if variant.teacher else None
            both = self.fit(variant, lr, teacher)
        costs: dict[str, float] = {
            "fit_cpu_seconds": np.nan if variant.source else time.process_time() - clock,
            "parameters": sum(weight.numel() for weight in both.model.parameters()),
            "nonzero": count_nonzero(both.model),
        }
        about: dict[str, Any] = {"lr": lr}
        if variant.bits == 0:  # such a network cannot be stored
            about["library"] = quantize_dynamic(both.model)
        else:
            if variant.bits is not None:
                quantize_weights(both.model, variant.bits)
            self.folder.mkdir(parents=True, exist_ok=True)
            costs["bytes"] = save_compressed(both, self.tokenizer, self.file(name))
        task, examples = both.task("scoring"), self.examples(both, self.test)
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
        settings = self.settings() | VARIANTS[key.model].describe()
        self.records.start(key, command=command, settings=settings)
        self.records.finish(key, report)
        low, high = report["intervals"]["auc"]
        print(
            f"{key.model} {key.variant}, seed {key.seed}: AUC {auc:.4f} [{low:.4f}, {high:.4f}], "
            f"{costs['p50_ms']:.2f} ms, {costs.get('bytes', np.nan) / 1024:,.0f} KiB",
            flush=True,
        )

    def record_rate(self, name: str, lr: float) -> None:
        """Train a dense variant with a learning rate, and record its AUC on validation."""
        size = VARIANTS[name].size
        key = rate_key(size, lr)
        if self.records.is_recorded(key) and not self.options.again:
            return
        both = self.fit(VARIANTS[name], lr)
        probability = self.scoring(both).predict(both.model, self.examples(both, self.validation))
        figure = auc(self.validation["clicked"].to_numpy(np.int64), probability)
        settings = self.settings() | {"size": size, "lr": lr}
        self.records.start(
            key, command="python -m experiments compressing --rates", settings=settings
        )
        report = {"on": "validation", "metrics": {"auc": figure}, "headline": {"auc": figure}}
        self.records.finish(key, report)
        print(f"{size}, learning rate {lr:g}: validation AUC {figure:.4f}", flush=True)

    def load(self, name: str) -> MultiTaskModel:
        """Return the network of an earlier variant."""
        file = self.file(name)
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: run --variant {name} --again first")
        return load_compressed(file)[0]

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


def rate_key(size: str, lr: float) -> RunKey:
    """Return the key of the record of a size's validation AUC with a learning rate."""
    return RunKey("compressing_rates", "bazaar", size, f"lr={lr:g}")


def best_rate(records: Records, size: str) -> float:
    """Return the learning rate of ``RATES`` with a size's best AUC on validation.

    Raises:
        FileNotFoundError: if one is not recorded.
    """
    keys = [rate_key(size, lr) for lr in RATES]
    if not all(map(records.is_recorded, keys)):
        raise FileNotFoundError(
            f"the learning rates of size {size} are not compared: run --rates first, or pass --lr"
        )
    figures = [read_json(records.folder(key) / REPORT)["metrics"]["auc"] for key in keys]
    return RATES[int(np.argmax(figures))]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--variant", nargs="*", choices=list(VARIANTS), metavar="NAME",
                        help="default: all on bazaar, else the registered ones")  # fmt: skip
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    for name, (value, text) in SETTINGS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(value), default=value, help=text)
    parser.add_argument("--rates", action="store_true", help="compare RATES on validation only")
    parser.add_argument("--page", action="store_true", help="write results/compressing.md")


def run(options: argparse.Namespace) -> None:
    """Run each variant without a record, and write the page if asked to."""
    torch.set_num_threads(1)
    if options.rates:
        comparison = Compressing(load_dataset("bazaar"), options, 0)
        for name, lr in itertools.product(DENSE, RATES):
            comparison.record_rate(name, lr)
        return
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
