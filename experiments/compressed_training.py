"""The training of the experiment ``compressing``: rows, tokenizer, networks and their settings."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
import torch

from experiments.compressed_variants import Variant
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.data import Dataset
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import (
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
    train_jointly,
)
from m6rec_lite.m6rec.optimizer import make_adamw
from m6rec_lite.m6rec.pretraining import native_precision
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import fit

#: The short phrases about a shown item, of ``tasks/scoring.json``.
FEATURES = ("brief",)
#: Options that make another measurement: default and meaning.
SETTINGS: dict[str, tuple[Any, str]] = {
    "clicks": (700, "clicked rows of an epoch"),
    "negatives": (4.0, "other rows for each"),
    "epochs": (3, "passes over the rows"),  # after one, some seeds only know the click rate
    "events": (1, "of a history that are read"),
    "max_tokens": (256, "of a row"),
    "tokens": (2048, "of a batch"),
    "lr": (0.0, "at a width of 160; 0: the best of --rates for the size"),
}


class ClickTraining:
    """Sampled impressions of a data set, and the training of click models on them.

    Args:
        dataset: with impressions.
        options: of the command line, with ``SETTINGS`` and ``quiet``.
        seed: of the draw of rows, of new weights and of the order of batches.
    """

    def __init__(self, dataset: Dataset, options: argparse.Namespace, seed: int) -> None:
        self.dataset, self.options, self.seed = dataset, options, seed
        self.precision = native_precision("cpu")
        self.text = BehaviourText(dataset, "compact")
        self.tokenizer = make_tokenizer(dataset, self.text)
        assert dataset.impressions is not None
        self.train, validation, test = split_by_time(dataset.impressions)
        self.validation, self.test = self.draw(validation), self.draw(test)

    def draw(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return all clicked rows and a sample of the others, the same for every seed."""
        labels = rows["clicked"].to_numpy(np.float64)
        drawn = Scoring(1, negatives=self.options.negatives).sample_negatives(labels, seed=0)[0]
        return rows.iloc[drawn].reset_index(drop=True)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the command line and of the processor, for a record."""
        values = {name: getattr(self.options, name) for name in SETTINGS}
        return values | {"precision": self.precision}

    def fit(self, variant: Variant, lr: float, teacher: M6RecModel | None = None) -> MultiTaskModel:
        """Train a new network.

        Args:
            variant: a variant without a source.
            lr: the learning rate at a width of 160; others get it by the inverse width.
            teacher: network whose relations are learned first; None for no such training.

        Returns:
            The network, with the task ``scoring``.
        """
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
        if teacher is not None:
            self.distill(model, teacher, batches, steps, lr)
        train_jointly(
            both,
            {"scoring": batches},
            Weights(finetune={"scoring": 1.0}),
            steps=steps,
            lr=lr * (160 / config.hidden_size),  # as in ``scaling``: by the inverse width
            callbacks=[GradualPruning(variant.prune)] if variant.prune else (),
            seed=self.seed,
            device="cpu",
            precision=self.precision,
            progress=not options.quiet,
        )
        return both

    def distill(
        self,
        student: M6RecModel,
        teacher: M6RecModel,
        batches: TaskBatches,
        steps: int,
        lr: float,
    ) -> None:
        """Train a student on the relations of a teacher."""
        warm = max(1, steps // 20)
        fit(
            student,
            batches,
            RelationDistillation(teacher, relation_heads=5),
            optimizer=make_adamw(student, lr=lr, weight_decay=0.01, betas=(0.9, 0.98)),
            schedule=warm_up(warm, 0.01, then=cosine(max(1, steps - warm), 0.05)),
            steps=steps,
            clip_norm=1.0,
            seed=self.seed,
            device="cpu",
            precision=self.precision,
            progress=not self.options.quiet,
        )

    @staticmethod
    def scoring(both: MultiTaskModel) -> Scoring:
        """Return the task of a network."""
        task = both.task("scoring")
        assert isinstance(task, Scoring)
        return task

    def examples(self, both: MultiTaskModel, rows: pd.DataFrame) -> Examples:
        """Return rows as this network's task encodes them."""
        prompts = PromptBuilder(self.text, self.tokenizer, self.options.max_tokens)
        return self.scoring(both).encode(rows, self.dataset, prompts)


def make_tokenizer(dataset: Dataset, text: BehaviourText, vocab_size: int = 2048) -> Tokenizer:
    """Train a tokenizer on the texts of items, users and statistics."""
    texts = [text.item(item) for item in dataset.items["item_id"].tolist()]
    if dataset.users is not None:
        texts += [text.user(user) for user in dataset.users["user_id"].tolist()]
    texts += text.templates.events.values()
    texts += [f", {words}" for words in StatisticsVerbalizer(FEATURES).examples()]
    return Tokenizer.train(dict.fromkeys(texts), vocab_size)
