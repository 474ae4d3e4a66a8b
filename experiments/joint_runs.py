"""Train models on some of M6-Rec's tasks, in stages that are each done once, and judge them.

A stage is one training or the answers of one model. A finished stage is skipped, and an interrupted
training continues from its checkpoint, when the same run is started again.
"""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.task_sets import Answers, Limits, TaskSet, mean_loss, task_sets
from m6rec_lite.data import Dataset
from m6rec_lite.language import Tokenizer
from m6rec_lite.m6rec import TASKS, M6RecModel, MultiTaskModel, TaskData, Weights, train_jointly
from m6rec_lite.m6rec.stages import Stages
from m6rec_lite.training import EarlyStopping

#: The mean of the tasks' validation losses, by which settings and the best round are chosen.
VALIDATION = "validation"


@dataclass(frozen=True)
class Settings:
    """The settings of all trainings of a run.

    Attributes:
        model: folder of the pretrained model.
        templates: of the texts; those of the pretraining.
        steps: of the joint training, and of a task alone at equal steps.
        lrs: learning rates, of which each model takes the best on validation.
        rounds: validations of a training; the weights of the best one are kept.
        limits: numbers of examples and of tokens.
        seed: of the data, the heads and the order of batches.
    """

    model: str
    templates: str = "default"
    steps: int = 300
    lrs: tuple[float, ...] = (1e-3, 3e-3)
    rounds: int = 6
    limits: Limits = field(default_factory=Limits)
    seed: int = 0


class JointRuns:
    """Trainings that share data, examples and settings.

    Args:
        settings: of all trainings.
        dataset: a simulated world, or another data set with all its tables.
        root: the project's folder, in which the model's folder is.
        out: folder of the run: ``stages.json``, and a folder for each training.
        device: see ``m6rec_lite.training``.
        progress: show progress bars, and print a line for each stage.

    Raises:
        ValueError: if the tokenizer is not the model's, or ``out`` has a run of other settings.
    """

    def __init__(
        self,
        settings: Settings,
        dataset: Dataset,
        root: Path,
        out: Path,
        *,
        device: str | None = None,
        progress: bool = True,
    ) -> None:
        self.settings, self.out, self.device, self.progress = settings, out, device, progress
        self.folder = root / settings.model
        self.tokenizer = Tokenizer.load(self.folder)
        model = M6RecModel.from_pretrained(self.folder)
        model.config.check_tokenizer(self.tokenizer)
        self.data: TaskData
        self.sets: dict[str, TaskSet]
        self.data, self.sets = task_sets(
            dataset,
            self.tokenizer,
            model.config.hidden_size,
            settings.limits,
            templates=settings.templates,
            seed=settings.seed,
        )
        of = asdict(settings) | {"dataset": dataset.name, "split": self.data.split.hash}
        say: Callable[[str], None] = print if progress else lambda line: None
        self.stages = Stages(out / "stages.json", of, say)

    @property
    def names(self) -> list[str]:
        """Names of the tasks."""
        return list(self.sets)

    def tokens_a_step(self, name: str) -> float:
        """Return the mean number of tokens of a task's batch, without padding."""
        batches = self.sets[name].batches(self.tokenizer.pad)
        n_batches = len(batches.epoch(self.settings.seed, 0))
        return float(self.sets[name].train.lengths.sum()) / n_batches

    def equal_tokens(self, name: str) -> int:
        """Return the steps after which a task alone has read as many tokens as the joint model."""
        joint = sum(map(self.tokens_a_step, self.names))
        return max(1, round(self.settings.steps * joint / self.tokens_a_step(name)))

    def best_of(self, label: str, names: Sequence[str], *, pretrained: bool) -> dict[str, Any]:
        """Train with each learning rate, and return the results that are best on validation."""
        results = [
            self.train(label, names, pretrained=pretrained, steps=self.settings.steps, lr=lr)
            for lr in self.settings.lrs
        ]
        return min(results, key=lambda result: result[VALIDATION])

    def train(
        self, label: str, names: Sequence[str], *, pretrained: bool, steps: int, lr: float
    ) -> dict[str, Any]:
        """Train a model on some tasks, unless it is done.

        Returns:
            ``folder`` of the checkpoint within ``out``, ``validation`` (the lowest, in nats),
            ``lr``, ``steps``, the step ``kept``, ``tokens`` of all steps, and ``seconds``.
        """
        name = f"{label}, lr {lr:g}"
        work = partial(self._train, name, names, pretrained=pretrained, steps=steps, lr=lr)
        return self.stages.run(name, work)

    def _train(
        self, label: str, names: Sequence[str], *, pretrained: bool, steps: int, lr: float
    ) -> dict[str, Any]:
        folder = self.out / _tag(label)
        round_steps = max(1, math.ceil(steps / self.settings.rounds))
        best = EarlyStopping(VALIDATION, patience=self.settings.rounds)
        both = self._start(names, pretrained)
        history = train_jointly(
            both,
            {name: self.sets[name].batches(self.tokenizer.pad) for name in names},
            Weights(tasks=dict.fromkeys(names, 1.0)),
            steps=steps,
            round_steps=round_steps,
            lr=lr,
            validate=lambda both: self.validate(both, names),
            callbacks=[best],
            checkpoint=folder / "checkpoints",
            seed=self.settings.seed,
            device=self.device,
            progress=self.progress,
        )
        both.save(folder / "model", self.tokenizer)
        shutil.rmtree(folder / "checkpoints")
        return {
            "folder": f"{folder.name}/model",
            VALIDATION: best.best,
            "lr": lr,
            "steps": steps,
            "kept": min(steps, best.best_epoch * round_steps),
            "tokens": round(steps * sum(map(self.tokens_a_step, names))),
            "seconds": float(sum(history["seconds"])),
        }

    def _start(self, names: Sequence[str], pretrained: bool) -> MultiTaskModel:
        """Return the pretrained model, or a new one of its shape, with new heads."""
        model = M6RecModel.from_pretrained(self.folder)
        if not pretrained:
            with torch.random.fork_rng():
                torch.manual_seed(self.settings.seed)
                model = M6RecModel(model.config)
        return MultiTaskModel(model, {name: copy.deepcopy(self.sets[name].task) for name in names})

    def validate(self, both: MultiTaskModel, names: Sequence[str]) -> dict[str, float]:
        """Return the validation loss of each task in nats, and their mean."""
        losses = {
            f"{VALIDATION} {name}": mean_loss(
                both.task(name),
                both.model,
                self.sets[name].validation,
                self.sets[name].batch_tokens,
            )
            for name in names
        }
        return losses | {VALIDATION: float(np.mean(list(losses.values())))}

    def answer(self, trained: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Load a checkpoint and answer the test examples of its tasks, unless it is done.

        Returns:
            For each task the figure (``TaskSet.figure``), and ``nats``.
        """
        folder = self.out / trained["folder"]
        return self.stages.run(
            f"answers of {trained['folder']}", partial(self._answer, folder, names)
        )

    def _answer(self, folder: Path, names: Sequence[str]) -> dict[str, Any]:
        both, _ = MultiTaskModel.load(folder, {name: TASKS[name] for name in names})
        if self.device is not None:
            both.to(self.device)
        figures = {}
        for name in names:
            answers = self.sets[name].answer(both.task(name), both.model, self.data)
            np.save(_values_file(folder, name), answers.values)
            figures[name] = self.sets[name].figure(answers) | {"nats": answers.nats}
        return figures

    def compare(self, name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict:
        """Return the paired difference of a task's figure between two judged models."""
        both = (
            Answers(np.load(_values_file(self.out / each["folder"], name)), math.nan)
            for each in (first, second)
        )
        test = self.sets[name].compare(*both)
        return {"mean": test.mean_difference, "low": test.low, "high": test.high}


def _values_file(folder: Path, name: str) -> Path:
    """Return the file of a task's answers beside the checkpoint that gave them."""
    return folder.with_name(f"{name}.npy")


def _tag(label: str) -> str:
    """Return a label as the name of a folder."""
    return label.replace(", ", "-").replace(" ", "-")
