"""Compress M6-Rec's click model: quality, bytes, milliseconds and energy of each method.

    python -m experiments compressing --dataset bazaar --seed 0
    python -m experiments compressing --dataset bazaar-wide --variant dense-10m pruned-2m --seed 0

Every network is trained on the same sampled impressions for the same number of passes, without
pretraining. ``pruned-2m`` is a dense 10 M network of which 80 % of the weights are pruned during
these passes. Variants in few bits quantize an earlier one. Early exit has a row a threshold.

The test rows are all clicked ones of the latest tenth, and ``--negatives`` others for each: the AUC
is that of all rows, with a wider interval. Differences of AUC from ``dense-10m`` and ``dense-2m``
have paired intervals over users. Late interaction is timed with an empty cache (cold) and after the
same requests (warm). Energy is a formula (``energy_joules``). Peak memory is that of a process that
serves the file within 512 MiB.

Rows go to ``results/compressing/<dataset>.csv``, files and probabilities to ``runs/compressing/``.
A row that is recorded is skipped.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.data.result_files import has_row, upsert_rows
from m6rec_lite.evaluation.ctr import auc
from m6rec_lite.evaluation.ctr_compare import compare_auc
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import (
    EarlyExitScoring,
    Examples,
    GradualPruning,
    LateInteractionScoring,
    M6RecConfig,
    M6RecModel,
    MultiTaskModel,
    PromptBuilder,
    RelationDistillation,
    Scoring,
    SegmentCache,
    StatisticsVerbalizer,
    TaskBatches,
    Weights,
    answers_with,
    count_multiply_adds,
    count_nonzero,
    energy_joules,
    factorize_embedding,
    load_compressed,
    measure_latency,
    quantize_dynamic,
    quantize_weights,
    save_compressed,
    serve_limited,
    share_layers,
    train_jointly,
)
from m6rec_lite.m6rec.compress.late_interaction import cut_segments
from m6rec_lite.m6rec.optimizer import make_adamw
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import fit

#: The short phrases about a shown item, of ``tasks/scoring.json``.
FEATURES = ("brief",)
KEY = ["dataset", "variant", "seed"]
#: Sizes as layers x width; with 2,048 tokens they have 10.5, 2.2 and 0.64 million parameters.
TEN, TWO, SMALL = "8x320", "6x160", "4x96"
REFERENCES = ("dense-10m", "dense-2m")
THRESHOLDS = (0.8, 0.9, 0.95, 0.98)
#: Timed requests, those answered by the limited process, and its limit.
REQUESTS, SERVED, MEMORY_MIB = 200, 20, 512


@dataclass(frozen=True)
class Variant:
    """A method and its settings.

    Attributes:
        size: of a new network; or ``source``, the variant whose file is quantized.
        task: class of the task, with its ``settings``.
        change: applied to the new network.
        prune: share of the weights to prune.
        teacher: variant whose relations are learned first, for as many passes again.
        bits: of ``quantize_weights``; 0 for ``quantize_dynamic``; None leaves 32.
    """

    size: str = ""
    source: str = ""
    task: type[Scoring] = Scoring
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[M6RecModel], Any] | None = None
    prune: float = 0.0
    teacher: str = ""
    bits: int | None = None


def share_and_factorize(model: M6RecModel) -> None:
    """Use one layer for all, and an embedding of rank 128."""
    factorize_embedding(share_layers(model), 128)


_PRINTED = {"exits": (1, 2, 3, 4, 5), "weighting": "printed"}
_NORMALIZED = _PRINTED | {"weighting": "normalized"}
VARIANTS: dict[str, Variant] = {
    "dense-10m": Variant(TEN),
    "dense-2m": Variant(TWO),
    "dense-600k": Variant(SMALL),
    "pruned-2m": Variant(TEN, prune=0.8),
    "late-1": Variant(TWO, task=LateInteractionScoring, settings={"joint_layers": 1}),
    "late-3": Variant(TWO, task=LateInteractionScoring, settings={"joint_layers": 3}),
    "exit-printed": Variant(TWO, task=EarlyExitScoring, settings=_PRINTED),
    "exit-normalized": Variant(TWO, task=EarlyExitScoring, settings=_NORMALIZED),
    "shared-factorized": Variant(TEN, change=share_and_factorize),
    "distilled-2m": Variant(TWO, teacher="dense-10m"),
    "10m-8bit": Variant(source="dense-10m", bits=8),
    "10m-dynamic-8bit": Variant(source="dense-10m", bits=0),
    "10m-4bit": Variant(source="dense-10m", bits=4),
    "2m-4bit": Variant(source="dense-2m", bits=4),
}
#: The registered comparison, for data sets on which the others are not needed.
REGISTERED = ("dense-10m", "dense-2m", "dense-600k", "pruned-2m")


class Compressing:
    """Training and measuring of variants on one data set and seed.

    Args:
        dataset: with impressions.
        options: of the command line.
    """

    def __init__(self, dataset: Dataset, options: argparse.Namespace) -> None:
        self.dataset, self.options, self.seed = dataset, options, options.seed
        self.table = options.root / "results" / "compressing" / f"{dataset.name}.csv"
        self.folder = options.root / "runs" / "compressing" / dataset.name / f"seed{self.seed}"
        self.text = BehaviourText(dataset, "compact")
        self.tokenizer = make_tokenizer(dataset, self.text)
        assert dataset.impressions is not None
        self.train, _, test = split_by_time(dataset.impressions)
        labels = test["clicked"].to_numpy(np.float64)
        draw = Scoring(1, negatives=options.negatives).sample_negatives(labels, seed=0)[0]
        self.test = test.iloc[draw].reset_index(drop=True)
        self.truth = self.test["clicked"].to_numpy(np.int64)

    def key(self, variant: str) -> dict[str, Any]:
        """Return the key of a row."""
        return {"dataset": self.dataset.name, "variant": variant, "seed": self.seed}

    def run(self, name: str) -> None:
        """Train or quantize a variant, measure it, and write its rows."""
        variant, clock = VARIANTS[name], time.process_time()
        both = self.load(variant.source) if variant.source else self.fit(variant)
        row: dict[str, Any] = {
            "fit_seconds": np.nan if variant.source else time.process_time() - clock,
            "parameters": sum(weight.numel() for weight in both.model.parameters()),
            "nonzero": count_nonzero(both.model),
            "library": "",
        }
        if variant.bits == 0:  # such a network cannot be stored
            row |= {"library": quantize_dynamic(both.model), "bytes": np.nan, "peak_mib": np.nan}
        else:
            if variant.bits is not None:
                quantize_weights(both.model, variant.bits)
            self.folder.mkdir(parents=True, exist_ok=True)
            row["bytes"] = save_compressed(both, self.tokenizer, self.file(name))
        task, examples = both.task("scoring"), self.examples(both)
        if variant.bits != 0:
            served = zip(examples.known[:SERVED], examples.written[:SERVED], strict=True)
            row["peak_mib"] = serve_limited(self.file(name), served, MEMORY_MIB)[1]
        thresholds = (None, *THRESHOLDS) if isinstance(task, EarlyExitScoring) else (None,)
        for threshold in thresholds:
            if isinstance(task, EarlyExitScoring):
                task.threshold = threshold
            label = name if threshold is None else f"{name} {threshold:g}"
            measured = self.quality(label, both, examples) | self.requests(both, examples)
            command = {"command": self.options.command}
            upsert_rows(self.table, [self.key(label) | row | measured | command], KEY)
            print(label, f"AUC {measured['auc']:.4f}, {measured['p50_ms']:.2f} ms", flush=True)

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
            progress=not self.options.quiet,
        )

    def load(self, name: str) -> MultiTaskModel:
        """Return the network of an earlier variant."""
        file = self.file(name)
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: run --variant {name} first")
        return load_compressed(file)[0]

    def examples(self, both: MultiTaskModel) -> Examples:
        """Return the test rows, as this network's task encodes them."""
        task = both.task("scoring")
        assert isinstance(task, Scoring)
        prompts = PromptBuilder(self.text, self.tokenizer, self.options.max_tokens)
        return task.encode(self.test, self.dataset, prompts)

    def quality(self, label: str, both: MultiTaskModel, examples: Examples) -> dict[str, Any]:
        """Return the AUC, its differences from ``REFERENCES``, and the mean number of layers."""
        task = both.task("scoring")
        layers = float(len(both.model.blocks))
        if isinstance(task, EarlyExitScoring):
            probability, each = task.predict_early(both.model, examples, task.threshold)
            layers = each.mean()
        else:
            probability = task.predict(both.model, examples)
        np.save(self.folder / f"{label}.npy", probability)
        row = {"auc": auc(self.truth, probability), "layers": float(layers)}
        for reference in REFERENCES:
            path = self.folder / f"{reference}.npy"
            if label != reference and path.is_file():
                users = self.test["user_id"].to_numpy()
                test = compare_auc(self.truth, probability, np.load(path), users)
                ends = (test.mean_difference, test.low, test.high)
                names = (f"auc - {reference}{end}" for end in ("", ", low", ", high"))
                row |= dict(zip(names, ends, strict=True))
        return row

    def requests(self, both: MultiTaskModel, examples: Examples) -> dict[str, float]:
        """Return milliseconds and energy of single requests, drawn from the test rows."""
        n = min(REQUESTS, len(examples))
        drawn = np.random.default_rng(0).permutation(len(examples))[:n]
        rows = [(examples.known[i], examples.written[i]) for i in drawn]
        cache = SegmentCache(100_000)
        cold, warm = answers_with(both, SegmentCache(1)), answers_with(both, cache)
        row: dict[str, float] = {"found": np.nan}
        if isinstance(both.task("scoring"), LateInteractionScoring):
            latency = measure_latency(lambda i: cold(*rows[i]), n)
            row |= {"cold_p50_ms": latency.p50, "cold_p95_ms": latency.p95}
            row["found"] = share_found(examples)
            measure_latency(lambda i: warm(*rows[i]), n)  # fills the cache
        latency = measure_latency(lambda i: warm(*rows[i]), n)
        counts = [count_multiply_adds(partial(warm, *row)) for row in rows[:20]]
        parts = {id(part): part.nbytes for part in both.model.state_dict().values()}
        row |= {"p50_ms": latency.p50, "p95_ms": latency.p95}
        row["multiply_adds"] = float(np.mean(counts))
        row["energy_mj"] = 1000 * energy_joules(row["multiply_adds"], sum(parts.values()))
        return row

    def file(self, name: str) -> Path:
        """Return the file of a variant."""
        return self.folder / f"{name}.safetensors"


def share_found(examples: Examples, capacity: int = 10_000) -> float:
    """Return the share of segments that a cache holds while the rows arrive in their order."""
    cache = SegmentCache(capacity)
    for known, written in zip(examples.known, examples.written, strict=True):
        for region, causal in ((known, False), (written, True)):
            for tokens in cut_segments(region):
                cache.states(("", causal, tokens.tobytes()), lambda: torch.zeros(0))
    return cache.hits / (cache.hits + cache.misses)


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
    parser.add_argument("--variant", nargs="+", choices=list(VARIANTS), metavar="NAME",
                        help="default: all on bazaar, else the registered ones")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clicks", type=int, default=700, help="clicked rows of an epoch")
    parser.add_argument("--negatives", type=float, default=4.0, help="other rows for each")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--events", type=int, default=1, help="of a history that are read")
    parser.add_argument("--max-tokens", type=int, default=256, help="of a row")
    parser.add_argument("--tokens", type=int, default=2048, help="of a batch")
    parser.add_argument("--lr", type=float, default=2e-3, help="at a width of 160")


def run(options: argparse.Namespace) -> None:
    """Run each variant without a row."""
    torch.set_num_threads(1)
    names = options.variant or (VARIANTS if options.dataset == "bazaar" else REGISTERED)
    comparison = Compressing(load_dataset(options.dataset), options)
    for name in names:
        if has_row(comparison.table, comparison.key(name), KEY) and not options.again:
            print(f"{name}, seed {options.seed}: recorded before (--again repeats it)")
            continue
        comparison.run(name)
