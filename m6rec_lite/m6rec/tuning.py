"""Multi-task tuning of a pretrained model on all tasks that the datasets permit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from m6rec_lite.data import Dataset
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.mixed_batches import MixedBatches
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import PretrainingLoss, judge
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.tasks import (
    TASKS,
    MultiTaskModel,
    Task,
    TaskBatches,
    TaskData,
    Weights,
    train_jointly,
)
from m6rec_lite.m6rec.tasks.multitask import ADAPT
from m6rec_lite.training import Callback, History

#: Steps and learning rate of tuning, tokens of a task's batch, epochs of the retriever, by size.
TUNING: dict[str, dict[str, Any]] = {
    "nano": {"tune_steps": 200, "tune_lr": 1e-3, "tune_tokens": 2048, "retrieval_epochs": 10},
    "tiny": {"tune_steps": 2000, "tune_lr": 7e-4, "tune_tokens": 4096, "retrieval_epochs": 20},
    "small": {"tune_steps": 4000, "tune_lr": 3e-4, "tune_tokens": 8192, "retrieval_epochs": 40},
    "base": {"tune_steps": 8000, "tune_lr": 1e-4, "tune_tokens": 16384, "retrieval_epochs": 40},
}
#: Test examples of each task, by size.
QUESTIONS = {"nano": 40, "tiny": 100, "small": 300, "base": 300}
#: The tasks that are tuned, and their settings; ranking only where there are no impressions.
#: Retrieval is not among them: the retriever is a model of its own (``recommender``).
TUNED: dict[str, dict[str, Any]] = {
    "scoring": {"events": 3},
    "explanation": {},
    "query": {},
    "conversation": {},
    "design": {},
    "ranking": {},
}


@dataclass(frozen=True)
class RunConfig:
    """The settings of a whole run; ``None`` takes the value of ``TUNING`` for the size.

    Attributes:
        pretraining: settings of pretraining, whose seed is used for all parts.
        alpha: weight of ``L_multi-task`` in tuning.
        beta: weight of ``L_adapt``, the pretraining objectives on the same texts.
        tune_steps: of the optimizer.
        tune_lr: maximum learning rate of tuning.
        tune_tokens: of a task's batch.
        rows: maximum number of training examples of a task.
        retrieval_epochs: maximum number of epochs of the retriever.
        limit: maximum number of test examples of a task, times its ``test_factor``.
    """

    # Fields that are None get a default in ``__post_init__``.
    pretraining: Pretraining
    alpha: float = 1.0
    beta: float = 0.25
    tune_steps: int = None  # type: ignore[assignment]
    tune_lr: float = None  # type: ignore[assignment]
    tune_tokens: int = None  # type: ignore[assignment]
    rows: int = 20_000
    retrieval_epochs: int = None  # type: ignore[assignment]
    limit: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        size = self.pretraining.size
        for name, value in (TUNING[size] | {"limit": QUESTIONS[size]}).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        counts = ("tune_steps", "tune_tokens", "rows", "retrieval_epochs", "limit")
        if min(getattr(self, name) for name in counts) < 1:
            raise ValueError(f"{', '.join(counts)} must be at least 1, got {self}")
        if not self.alpha + self.beta > 0 or min(self.alpha, self.beta) < 0:
            raise ValueError(
                f"alpha or beta must be above 0, and none below, got {self.alpha!r}, {self.beta!r}"
            )


class TuningData(NamedTuple):
    """A dataset of a run, and its prompts."""

    data: TaskData
    prompts: PromptBuilder

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        tokenizer: Tokenizer,
        max_tokens: int,
        seed: int = 0,
        templates: str = "default",
    ) -> TuningData:
        """Return a dataset with a leave-one-out split and rows of at most ``max_tokens``."""
        prompts = PromptBuilder(BehaviourText(dataset, templates), tokenizer, max_tokens)
        return cls(TaskData.of(dataset, seed=seed), prompts)

    @property
    def tag(self) -> str:
        """The dataset's name, with characters that file and module names may have."""
        return re.sub(r"[^\w-]+", "-", self.data.dataset.name).strip("-")

    @property
    def kinds(self) -> list[str]:
        """Names of the tuned tasks that the dataset's tables permit."""
        kinds = [kind for kind in TUNED if TASKS[kind].supports(self.data)]
        return [kind for kind in kinds if kind != "ranking" or "scoring" not in kinds]


def named_tasks(sets: Sequence[TuningData], hidden_size: int) -> dict[str, tuple[TuningData, Task]]:
    """Return a new task of each kind for each dataset, by its name in the model's folder."""
    return {
        kind if len(sets) == 1 else f"{kind} {dataset.tag}": (
            dataset,
            TASKS[kind].create(dataset.data, hidden_size, TUNED[kind]),
        )
        for dataset in sets
        for kind in dataset.kinds
    }


def kinds_of(names: Sequence[str]) -> dict[str, type[Task]]:
    """Return the class of each task, for ``MultiTaskModel.load``."""
    return {name: TASKS[name.partition(" ")[0]] for name in names}


def tune(
    model: M6RecModel,
    sets: Sequence[TuningData],
    adapt: tuple[PretrainingBatches | MixedBatches, PretrainingBatches | MixedBatches],
    objectives: Mapping[str, float],
    config: RunConfig,
    *,
    checkpoint: Path | None = None,
    callbacks: Sequence[Callback] = (),
    device: str | None = None,
    precision: str = "auto",
    progress: bool = True,
) -> tuple[MultiTaskModel, History, dict[str, dict[str, float]]]:
    """Train a pretrained model jointly on every task of every dataset, and on their texts.

    Args:
        model: the pretrained model.
        sets: the datasets.
        adapt: batches of the training texts and of the held-out texts.
        objectives: weights of the pretraining objectives within ``L_adapt``.
        config: of the run. All tasks have equal weights in ``L_multi-task``.
        checkpoint: folder, see ``train_jointly``, also for the arguments below.

    Returns:
        Model and tasks; the history, in which ``infilling nats`` and ``sentence nats`` are the
        held-out losses of the pretraining objectives; and the number of each task's rows.
    """
    seed = config.pretraining.seed
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        named = named_tasks(sets, model.config.hidden_size)
    sources: dict[str, Any] = {}
    about: dict[str, dict[str, float]] = {}
    for name, ((data, prompts), task) in named.items():
        examples = task.build_examples(data, prompts, limit=config.rows, fit=True)
        about[name] = {"rows": len(examples)}
        sources[name] = TaskBatches(examples, config.tune_tokens, pad=prompts.tokenizer.pad)
    weights = Weights(config.alpha, config.beta, tasks=dict.fromkeys(sources, 1.0))
    sources = {name: source for name, source in sources.items() if name in weights.shares()}
    loss = None
    if config.beta:
        sources[ADAPT], loss = adapt[0], PretrainingLoss(objectives)
    both = MultiTaskModel(model, {name: task for name, (_, task) in named.items()})
    history = train_jointly(
        both,
        sources,
        weights,
        adapt=loss,
        steps=config.tune_steps,
        round_steps=max(1, config.tune_steps // 5),
        lr=config.tune_lr,
        validate=lambda both: judge(both.model, adapt[1], limit=8),
        callbacks=callbacks,
        checkpoint=checkpoint,
        seed=seed,
        device=device,
        precision=precision,
        progress=progress,
    )
    return both, history, about
