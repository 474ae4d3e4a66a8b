"""Multi-task training: one model, several heads, a weighted sum of losses.

    L = alpha * L_multi-task + beta * L_adapt + L_finetune

``L_multi-task`` is the weighted mean of the losses of several tasks, ``L_adapt`` the loss of the
pretraining objectives on the texts of the new data, and ``L_finetune`` the loss of the main task.
Each part is logged separately.
Source: M6-Rec (Cui et al., 2022, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from m6rec_lite.m6rec.objective import PretrainingLoss
from m6rec_lite.m6rec.optimizer import make_adamw
from m6rec_lite.m6rec.tasks.multitask import ADAPT, MultiTaskModel
from m6rec_lite.nn.schedules import cosine, warm_up
from m6rec_lite.training import Callback, Checkpoints, History, fit
from m6rec_lite.training.batches import Batches, Epoch


@dataclass(frozen=True)
class Weights:
    """The weights of the parts of the loss.

    Attributes:
        alpha: of ``L_multi-task``.
        beta: of ``L_adapt``.
        tasks: of each task within ``L_multi-task``, which is their weighted mean.
        finetune: of each task in ``L_finetune``, also a weighted mean, whose weight is 1.
    """

    alpha: float = 1.0
    beta: float = 0.0
    tasks: Mapping[str, float] = field(default_factory=dict)
    finetune: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights = [self.alpha, self.beta, *self.tasks.values(), *self.finetune.values()]
        if not all(0 <= weight < math.inf for weight in weights):
            raise ValueError(f"weights must be at least 0 and finite, got {self}")
        if not sum(self.shares().values()) > 0:
            raise ValueError(
                f"all weights are 0, so nothing would be learned: {self}; raise beta, or alpha and "
                "a task's weight, or a weight in finetune"
            )

    def shares(self) -> dict[str, float]:
        """Return the coefficient of each task's loss, and of ``adapt``, in L."""
        shares: dict[str, float] = {ADAPT: self.beta} if self.beta else {}
        for part, tasks in ((self.alpha, self.tasks), (1.0, self.finetune)):
            total = sum(tasks.values())
            for name, weight in tasks.items():
                if part * weight > 0:
                    shares[name] = shares.get(name, 0.0) + part * weight / total
        return shares


class JointLoss:
    """The loss L of a step's batches, for ``training.fit``.

    Args:
        weights: of the parts.
        adapt: loss of the pretraining objectives; required if ``beta`` is above 0.

    Raises:
        ValueError: if ``adapt`` is required and missing.
    """

    def __init__(self, weights: Weights, adapt: PretrainingLoss | None = None) -> None:
        if weights.beta and adapt is None:
            raise ValueError("beta is above 0: give the loss of the pretraining objectives, adapt=")
        self.shares, self.adapt = weights.shares(), adapt

    def __call__(
        self, both: MultiTaskModel, batch: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return L, and each task's own loss in nats to log, by the task's name."""
        total, logs = torch.zeros((), device=both.model.device), dict[str, Any]()
        for name, share in self.shares.items():
            if name == ADAPT and self.adapt is not None:
                value, parts = self.adapt(both.model, batch[ADAPT])
                logs |= {f"{ADAPT} {key}": number for key, number in parts.items()}
            else:
                value = both.task(name).loss(both.model, batch[name])
            logs[name] = value
            total = total + share * value
        return total, logs


class JointBatches:
    """Batches of several sources: each step has one batch of every source, in a dict by name.

    Each source runs through its own epochs; a shorter source is repeated more often.

    Args:
        sources: of batches, by the names of the tasks and ``adapt``.
        steps: of a joint epoch, after which ``fit`` validates; None for an epoch of the longest
            source.

    Raises:
        ValueError: if there is no source, or ``steps`` is below 1.
    """

    def __init__(self, sources: Mapping[str, Batches[Any]], steps: int | None = None) -> None:
        if not sources or (steps is not None and steps < 1):
            raise ValueError(
                f"there must be at least one source, and steps at least 1 or None; got "
                f"{list(sources)} and {steps!r}"
            )
        self.sources, self.steps = dict(sources), steps
        self._ends: dict[tuple[int, str], list[int]] = {}

    def epoch(self, seed: int, epoch: int) -> Epoch[dict[str, Any]]:
        """Return the batches of an epoch."""
        firsts = {name: self._end(seed, name, 0) for name in self.sources}
        steps = self.steps or max(firsts.values())
        plans: dict[tuple[str, int], Sequence[Any]] = {}

        def build(i: int) -> dict[str, Any]:
            batch, step = {}, epoch * steps + i
            for name, source in self.sources.items():
                number = 0  # of the source's epoch
                while self._end(seed, name, number) <= step:
                    number += 1
                if (name, number) not in plans:
                    plans[name, number] = source.epoch(seed, number)
                start = self._end(seed, name, number - 1) if number else 0
                batch[name] = plans[name, number][step - start]
            return batch

        return Epoch(steps, build)

    def _end(self, seed: int, name: str, number: int) -> int:
        """Return the step after which a source's epoch ends."""
        ends = self._ends.setdefault((seed, name), [])
        while len(ends) <= number:
            n = len(self.sources[name].epoch(seed, len(ends)))
            if not n:
                raise ValueError(f"epoch {len(ends) + 1} of {name!r} has no batches")
            ends.append((ends[-1] if ends else 0) + n)
        return ends[number]


def train_jointly(
    both: MultiTaskModel,
    sources: Mapping[str, Batches[Any]],
    weights: Weights,
    *,
    adapt: PretrainingLoss | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    round_steps: int | None = None,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    validate: Any = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | Path | Checkpoints | None = None,
    seed: int = 0,
    device: str | None = None,
    precision: str = "auto",
    progress: bool = True,
) -> History:
    """Train a model and its tasks jointly; an interrupted run continues from its checkpoint.

    Args:
        both: model and tasks, trained in place.
        sources: batches of each task with a weight above 0, and of ``adapt``.
        weights: of the parts.
        adapt: see ``JointLoss``.
        steps: of the optimizer; or
        epochs: over the longest source, or multiples of ``round_steps``.
        round_steps: steps between calls of ``validate``; None for an epoch of the longest source.
        lr: maximum learning rate of AdamW, with warm-up over 5 % of the steps and cosine decay to
            5 % of it.
        weight_decay: of matrices.
        validate: called with ``both`` after each epoch.
        callbacks: see ``training.fit``, also for the arguments below.
        checkpoint: folder of the checkpoints.
        seed: of the order of batches.
        device: of the training.
        precision: of the arithmetic.
        progress: show a progress bar.

    Returns:
        The history, with each task's loss by the task's name.

    Raises:
        ValueError: unless ``sources`` are those with a weight above 0, or on an unknown task.
    """
    loss = JointLoss(weights, adapt)
    if sources.keys() != loss.shares.keys():
        raise ValueError(
            f"wanted batches of exactly what has a weight above 0, {sorted(loss.shares)}; got "
            f"{sorted(sources)}"
        )
    if unknown := sorted(loss.shares.keys() - both.tasks.keys() - {ADAPT}):
        raise ValueError(f"there is no task {unknown[0]!r} among {sorted(both.tasks)}")
    batches = JointBatches(sources, round_steps)
    total = steps or (epochs or 0) * len(batches.epoch(seed, 0))
    warm = max(1, total // 20)
    return fit(
        both,
        batches,
        loss,
        optimizer=make_adamw(both, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.98)),
        schedule=warm_up(warm, 0.01, then=cosine(max(1, total - warm), 0.05)),
        steps=steps,
        epochs=epochs,
        validate=validate,
        callbacks=callbacks,
        checkpoint=checkpoint,
        clip_norm=1.0,
        precision=precision,
        device=device,
        seed=seed,
        config={"shares": loss.shares, "adapt": adapt.weights if adapt else {}},
        progress=progress,
    )
