"""M6-Rec tuned on all that a data set asks: which tasks, of which rows, and all of them at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m6rec_lite.data import Dataset, Split, leave_one_out
from m6rec_lite.language.behaviour import BehaviourText
from m6rec_lite.language.tokenizer import Tokenizer
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.objective import PretrainingLoss, judge
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.tasks import (
    TASKS,
    Design,
    Examples,
    MultiTaskModel,
    Ranking,
    Scoring,
    Task,
    TaskBatches,
    Weights,
    train_jointly,
)
from m6rec_lite.m6rec.tasks.multitask import ADAPT
from m6rec_lite.m6rec.tasks.rows import first_events
from m6rec_lite.recommenders.impressions import split_by_time
from m6rec_lite.training import Callback, History

#: Rows without a click kept for each with one; the answers are mended for it (``click_model``).
NEGATIVES = 8


#: Steps and rate of tuning, tokens of a task's batch, epochs of the retriever, by size.
TUNING: dict[str, dict[str, Any]] = {
    "nano": {"tune_steps": 200, "tune_lr": 1e-3, "tune_tokens": 2048, "retrieval_epochs": 10},
    "tiny": {"tune_steps": 2000, "tune_lr": 7e-4, "tune_tokens": 4096, "retrieval_epochs": 20},
    "small": {"tune_steps": 4000, "tune_lr": 3e-4, "tune_tokens": 8192, "retrieval_epochs": 40},
    "base": {"tune_steps": 8000, "tune_lr": 1e-4, "tune_tokens": 16384, "retrieval_epochs": 40},
}
#: Questions asked of each task, by size.
QUESTIONS = {"nano": 40, "tiny": 100, "small": 300, "base": 300}


@dataclass(frozen=True)
class Work:
    """What fixes the whole run; ``None`` takes what ``TUNING`` has for the size.

    Attributes:
        pretraining: settings of that part; its seed is everybody's.
        alpha: weight of ``L_multi-task`` in tuning.
        beta: weight of ``L_adapt``, the pretraining objectives on the same texts.
        tune_steps: of the optimizer.
        tune_lr: highest rate of tuning.
        tune_tokens: of a task's batch.
        rows: of a task, at most.
        retrieval_epochs: at most.
        limit: questions asked of each task that answers slowly; a hundred times as many clicks.
    """

    pretraining: Pretraining
    alpha: float = 1.0
    beta: float = 0.25
    tune_steps: int | None = None
    tune_lr: float | None = None
    tune_tokens: int | None = None
    rows: int = 20_000
    retrieval_epochs: int | None = None
    limit: int | None = None

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


@dataclass(frozen=True)
class World:
    """A data set as the tasks see it.

    Attributes:
        dataset: its tables.
        tokenizer: the model's.
        max_tokens: of a row.
        rows: of a task, at most, drawn.
        seed: of the draws.
    """

    dataset: Dataset
    tokenizer: Tokenizer
    max_tokens: int = 384
    rows: int = 20_000
    seed: int = 0

    @cached_property
    def split(self) -> Split:
        """Leave-one-out; nothing of its targets is learnt from."""
        return leave_one_out(self.dataset)

    @cached_property
    def prompts(self) -> PromptBuilder:
        """People and items in words."""
        return PromptBuilder(BehaviourText(self.dataset), self.tokenizer, self.max_tokens)

    @property
    def tag(self) -> str:
        """The data set's name as files and modules may have it."""
        return re.sub(r"[^\w-]+", "-", self.dataset.name).strip("-")

    @property
    def kinds(self) -> list[str]:
        """The tasks that its tables allow; ranking where nothing was shown to anybody."""
        tables = {"scoring": "impressions", "explanation": "reviews", "query": "queries"}
        tables |= {"conversation": "dialogues"}
        found = [kind for kind, name in tables.items() if getattr(self.dataset, name) is not None]
        if {"title", "category"} <= set(self.dataset.items.dropna(axis=1, how="all")):
            found.append("design")
        return found if "scoring" in found else [*found, "ranking"]

    def task(self, kind: str, hidden_size: int) -> Task:
        """A fresh task."""
        return Scoring(hidden_size, events=3) if kind == "scoring" else TASKS[kind]()

    def examples(self, task: Task) -> tuple[Examples, dict[str, float]]:
        """Rows to learn a task from, and their number.

        For scoring, ``kept`` says by how much clicks are too frequent among them.
        """
        about: dict[str, float] = {}
        if isinstance(task, Scoring):
            found, about["kept"] = self._clicks(task)
        elif isinstance(task, Ranking):
            found = self._sentences(task)
        else:
            found = self._some(self.part(task, "train", self.rows))
        return found, {"rows": len(found)} | about

    def part(self, task: Task, part: str, limit: int) -> Examples:
        """Rows of a part of a task that writes, held out as pretraining held out.

        Of a task that can draw before it builds, ``limit`` of them; of the others all.
        """
        more = {"limit": limit} if isinstance(task, Design) else {}
        given = {"seed": self.seed} | more
        return task.build_examples(self.dataset, self.split, self.prompts, part, **given)

    def _some(self, examples: Examples) -> Examples:
        if len(examples) <= self.rows:
            return examples
        order = np.random.default_rng(self.seed).permutation(len(examples))
        return examples[np.sort(order[: self.rows])]

    def _clicks(self, task: Scoring) -> tuple[Examples, float]:
        """The earliest eight tenths of the impressions: those clicked, and some others of them."""
        rows, _, _ = split_by_time(self.dataset.impressions)
        draw = np.random.default_rng(self.seed)
        clicked = rows["clicked"].to_numpy(dtype=bool)
        yes, no = (draw.permutation(np.flatnonzero(clicked == which)) for which in (True, False))
        yes = yes[: max(1, self.rows // (NEGATIVES + 1))]
        share_yes = len(yes) / max(1, int(clicked.sum()))
        no = no[: min(NEGATIVES * len(yes), self.rows)]
        kept = (len(no) / max(1, int((~clicked).sum()))) / share_yes
        chosen = rows.iloc[np.sort(np.concatenate([yes, no]))]
        found = task.build_examples(chosen, self.dataset, self.prompts, fit=True)
        rate = len(yes) / (len(yes) + len(no))
        with torch.no_grad():  # begin with the odds of all rows
            task.head.weight.mul_(0.1)
            task.head.bias.copy_(torch.tensor([0.0, np.log(rate / (1 - rate))]))
        return found, kept

    def _sentences(self, task: Ranking) -> Examples:
        """Each user's last training event, after those before it."""
        histories = self.split.train.histories()
        long = np.flatnonzero(histories.lengths >= 2)
        draw = np.random.default_rng(self.seed)
        long = np.sort(draw.permutation(long)[: self.rows])
        ends = histories.offsets[1:][long] - 1
        before = first_events(
            histories, long, histories.lengths[long] - 1, histories.timestamps[ends]
        )
        items = histories.item_ids[histories.items[ends]]
        return task.build_examples(before, [[int(item)] for item in items], self.prompts)


def named_tasks(worlds: Sequence[World], hidden_size: int) -> dict[str, tuple[World, Task]]:
    """Every task of every data set, by the name that the model's folder knows it by."""
    found = {}
    for world in worlds:
        for kind in world.kinds:
            name = kind if len(worlds) == 1 else f"{kind} {world.tag}"
            found[name] = (world, world.task(kind, hidden_size))
    return found


def kinds_of(names: Sequence[str]) -> dict[str, type[Task]]:
    """The class of each of these tasks, as ``MultiTaskModel.load`` wants them."""
    return {name: TASKS[name.partition(" ")[0]] for name in names}


def tune(
    model: M6RecModel,
    worlds: Sequence[World],
    adapt: tuple[PretrainingBatches, PretrainingBatches],
    objectives: Mapping[str, float],
    *,
    alpha: float,
    beta: float,
    steps: int,
    lr: float,
    tokens: int,
    checkpoint: Path | None = None,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
    device: str | None = None,
    precision: str = "auto",
    progress: bool = True,
) -> tuple[MultiTaskModel, History, dict[str, dict[str, float]]]:
    """Train a pretrained model on every task of every data set at once, and on their texts.

    Args:
        model: as it was pretrained.
        worlds: the data sets.
        adapt: batches of the texts to learn from and of those held out.
        objectives: weights of the pretraining objectives within ``L_adapt``.
        alpha: of ``L_multi-task``, in which all tasks weigh alike.
        beta: of ``L_adapt``.
        steps: of the optimizer.
        lr: highest rate.
        tokens: of a task's batch.
        checkpoint: folder, see ``train_jointly``; and so on.

    Returns:
        Model and tasks; the history, in which ``infilling nats`` and ``sentence nats`` say what
        is left of the pretraining; and what ``World.examples`` says of each task's rows.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        named = named_tasks(worlds, model.config.hidden_size)
    sources, about = {}, {}
    for name, (world, task) in named.items():
        examples, about[name] = world.examples(task)
        sources[name] = TaskBatches(examples, tokens, pad=world.tokenizer.pad)
    weights = Weights(alpha=alpha, beta=beta, tasks=dict.fromkeys(sources, 1.0))
    sources = {name: source for name, source in sources.items() if name in weights.shares()}
    loss = None
    if beta:
        sources[ADAPT], loss = adapt[0], PretrainingLoss(objectives)
    both = MultiTaskModel(model, {name: task for name, (_, task) in named.items()})
    history = train_jointly(
        both,
        sources,
        weights,
        adapt=loss,
        steps=steps,
        round_steps=max(1, steps // 5),
        lr=lr,
        validate=lambda both: judge(both.model, adapt[1], limit=8),
        callbacks=callbacks,
        checkpoint=checkpoint,
        seed=seed,
        device=device,
        precision=precision,
        progress=progress,
    )
    return both, history, about
