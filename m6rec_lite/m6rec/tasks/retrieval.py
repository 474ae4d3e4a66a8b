"""Retrieval: users and items are vectors of one space, and the nearest items are recommended.

    user   [BOS'] the user, the day, the events [EOS']   -> state at [EOS'] -> linear -> unit length
    item   [BOS] [ITEM] the item [EOS]                   -> state at [EOS]  -> linear -> unit length

Two towers of one model: an item's text is read alone, so that a catalogue is encoded once and then
searched. A batch's items are each other's negatives (in-batch softmax). Popular items are negatives
more often than rare ones; the log-Q correction accounts for that. Source: M6-Rec (Cui et al.,
2022, section 3): 128 dimensions, temperature 0.07; Yi et al., *Sampling-bias-corrected neural
modeling for large corpus item recommendations*, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data import DataError, Histories
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.full_ranking import popularity, ranking_figures, ranking_report
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch, TaskBatches
from m6rec_lite.nn.decoding import inference_mode
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.nn.masks import causal_mask


def in_batch_softmax(
    people: Tensor,
    items: Tensor,
    right: Tensor,
    *,
    tau: float,
    log_share: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each person's item among the items of the batch.

    An item that several people of the batch have is one candidate, never a wrong answer to one of
    them. It stands for all ``c`` places at which it came; with the correction these are divided by
    how many were to be expected, ``n q``. Which of the batch's items is the right one then has the
    chances ``p / q``, so that the scores come to be ``ln p`` and not ``ln p - ln q`` (Ma and
    Collins, *Noise contrastive estimation and negative sampling for conditional models*, 2018).

    Args:
        people: ``(n, d)`` of unit length.
        items: ``(m, d)`` of unit length: the different items of the batch.
        right: ``(n,)`` int64, each person's place among them.
        tau: temperature, by which cosines are divided.
        log_share: ``(m,)`` ln q: the items' shares of all targets. None corrects nothing.

    Returns:
        The mean over the people, in nats.
    """
    counts = torch.bincount(right, minlength=len(items)).clamp_min(1).to(people.dtype)
    often = counts.log()
    if log_share is not None:
        often = often - log_share.to(people.dtype) - math.log(len(people))
    return linear_cross_entropy(people / tau, items, right, bias=often)


class Retrieval(Task):
    """Two towers out of one model.

    Args:
        hidden_size: of the model.
        n_items: of the catalogue that targets are places in.
        dimensions: of the space.
        tau: temperature.
        correct: take out how often an item is a wrong answer (log-Q); to switch it off shows what
            it is for.

    Attributes:
        log_share: ``(n_items,)`` ln q of every item, from ``count``; even shares before.

    Raises:
        ValueError: if a setting is out of range.
    """

    name: ClassVar[str] = "retrieval"
    log_share: Tensor

    def __init__(
        self,
        hidden_size: int,
        n_items: int,
        dimensions: int = 128,
        tau: float = 0.07,
        correct: bool = True,
    ) -> None:
        super().__init__()
        if min(hidden_size, n_items, dimensions) < 1 or not tau > 0:
            raise ValueError(
                "hidden_size, n_items and dimensions must be at least 1 and tau above 0, got "
                f"{hidden_size!r}, {n_items!r}, {dimensions!r} and {tau!r}"
            )
        self.hidden_size, self.n_items, self.dimensions = hidden_size, n_items, dimensions
        self.tau, self.correct = tau, correct
        self.person = nn.Linear(hidden_size, dimensions)
        self.item = nn.Linear(hidden_size, dimensions)
        self.register_buffer("log_share", torch.full((n_items,), -math.log(n_items)))

    @classmethod
    def create(
        cls, data: TaskData, hidden_size: int, settings: Mapping[str, Any] | None = None
    ) -> Self:
        """Return a fresh task of these settings for a dataset's catalogue and a hidden size."""
        return cls(hidden_size, len(data.split.item_ids), **settings or {})

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("hidden_size", "n_items", "dimensions", "tau", "correct")
        return {name: getattr(self, name) for name in names}

    def count(self, targets: np.ndarray) -> None:
        """Learn from ``(n,)`` training targets how often each item is one."""
        often = np.bincount(targets, minlength=self.n_items).clip(1)
        self.log_share.copy_(torch.from_numpy(np.log(often / max(1, often.sum()))))

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return each user's history and next item.

        For ``train`` that is the last training event. The catalogue of the others is the written
        region of every item. Rows of one's own are encoded by ``encode``.
        """
        if part == "train":
            histories, targets = data.last_events(limit)
            return self.encode(histories, targets, prompts, fit=fit)
        holdout = data.questions(part, limit)
        examples = self.encode(
            holdout.histories[holdout.target_rows], holdout.targets, prompts, fit=fit
        )
        return replace(examples, catalogue=prompts.items(data.split.item_ids))

    def encode(
        self,
        histories: Histories,
        targets: np.ndarray | None,
        prompts: PromptBuilder,
        *,
        fit: bool = False,
    ) -> Examples:
        """Return an example for each of some histories.

        Args:
            histories: what was known of each user; their ``item_ids`` are the catalogue.
            targets: ``(n,)`` index of the item that each met next; None where it is not known:
                such rows have no written region.
            prompts: turns users and items into words; each region may have its ``max_tokens``.
            fit: these are training rows: ``count`` them.

        Raises:
            DataError: on a target that is not in the catalogue.
        """
        known = prompts.people(histories)
        about = pd.DataFrame({"user_id": histories.user_ids})
        if targets is None:
            nothing = [np.zeros(0, dtype=np.int32)] * len(known)
            target = np.zeros(len(known), dtype=np.int64)
            return Examples(known, nothing, target, about, prompts.tokenizer)
        targets = np.asarray(targets, dtype=np.int64)
        if len(histories.item_ids) != self.n_items:
            raise DataError(
                f"the histories speak of {len(histories.item_ids)} items and the task was made for "
                f"{self.n_items}"
            )
        if targets.shape != (len(histories),):
            raise DataError(f"{len(histories)} histories need as many targets, got {targets.shape}")
        if len(targets) and not 0 <= targets.min() <= targets.max() < self.n_items:
            raise DataError(
                f"targets are places from 0 to {self.n_items - 1} in the histories' item_ids; got "
                f"{targets.min()} to {targets.max()}"
            )
        if fit:
            self.count(targets)
        used, place = np.unique(targets, return_inverse=True)
        texts = prompts.items(histories.item_ids[used])
        about["item_id"] = histories.item_ids[targets]
        return Examples(known, [texts[i] for i in place], targets, about, prompts.tokenizer)

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """In-batch softmax over the batch's different items, in nats."""
        states = self.states(model, batch)
        used, first, right = _distinct(batch.target)
        people = self.people(states[torch.arange(len(states)), batch.prefix - 1])
        items = self.items(batch.last(states)[first])
        return self.contrast(people, items, used, right)

    def contrast(self, people: Tensor, items: Tensor, used: Tensor, right: Tensor) -> Tensor:
        """``in_batch_softmax`` of vectors, the items' places in the catalogue being ``used``."""
        share = self.log_share[used] if self.correct else None
        return in_batch_softmax(people, items, right, tau=self.tau, log_share=share)

    def states(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """``(batch, time, hidden_size)``, where the written region does not see the known one."""
        place = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        known = place < batch.prefix[:, None]  # (batch, time)
        same = known[:, :, None] == known[:, None, :]
        seen = known[:, None, :] | causal_mask(len(place), device=place.device)
        mask = (same & seen & batch.mask[:, None, :])[:, None]
        places = torch.where(known, place, place - batch.prefix[:, None])
        return model.states(batch.ids, mask, position_ids=places)

    def people(self, states: Tensor) -> Tensor:
        """States at ``[EOS']``, ``(…, hidden_size)``, to ``(…, dimensions)`` of unit length."""
        return F.normalize(self.person(states), dim=-1)

    def items(self, states: Tensor) -> Tensor:
        """States at ``[EOS]``, likewise."""
        return F.normalize(self.item(states), dim=-1)

    def item_vectors(
        self, model: M6RecModel, written: list[np.ndarray], *, tokens: int = 16384
    ) -> np.ndarray:
        """Encode written regions, such as ``prompts.items``, as ``(n, dimensions)`` float32."""
        nothing = [np.zeros(0, dtype=np.int32)] * len(written)
        target = np.zeros(len(written), dtype=np.int64)
        return self._vectors(model, Examples(nothing, written, target), self.items, tokens)

    def user_vectors(
        self, model: M6RecModel, examples: Examples, *, tokens: int = 16384
    ) -> np.ndarray:
        """Encode the known regions of examples as ``(n, dimensions)`` float32."""
        nothing = [np.zeros(0, dtype=np.int32)] * len(examples)
        known = Examples(examples.known, nothing, examples.target)
        return self._vectors(model, known, self.people, tokens)

    def predict(
        self,
        model: M6RecModel,
        examples: Examples,
        *,
        items: np.ndarray | None = None,
        tokens: int = 16384,
    ) -> np.ndarray:
        """Return the cosine of each user with each item.

        Args:
            model: read in ``eval`` mode.
            examples: ``n``; their written regions are not read.
            items: ``(m, dimensions)`` from ``item_vectors``; None encodes ``examples.catalogue``.
            tokens: that run at a time.

        Returns:
            ``(n, m)`` float32.

        Raises:
            ValueError: without items or a catalogue.
        """
        if items is None and examples.catalogue is None:
            raise ValueError("retrieval needs items to compare users with: pass items=, from "
                             "item_vectors, or build the examples of a part")  # fmt: skip
        if items is None:
            items = self.item_vectors(model, examples.catalogue, tokens=tokens)
        return self.user_vectors(model, examples, tokens=tokens) @ items.T

    def _figures(self, outputs: np.ndarray, examples: Examples, data: TaskData) -> dict[str, float]:
        """Return HR and NDCG of the full ranking; see ``ranking_figures``."""
        users = examples.about["user_id"].to_numpy()
        return ranking_figures(ranking_report(outputs, users, data, examples.part, oracle=True))

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return the popularity of every item, for every user."""
        return {"popularity": np.tile(popularity(data), (len(examples), 1))}

    def _vectors(
        self, model: M6RecModel, examples: Examples, tower: Any, tokens: int
    ) -> np.ndarray:
        found = np.zeros((len(examples), self.dimensions), dtype=np.float32)
        if len(examples):
            with inference_mode(model):
                device = self.item.weight.device
                for batch in TaskBatches(examples, tokens, shuffle=False).epoch(0, 0):
                    vectors = tower(batch.last(self.states(model, batch.to(device))))
                    found[batch.rows.numpy()] = vectors.float().cpu().numpy()
        return found


def _distinct(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The different targets, where each comes first, and each target's place among them."""
    used, right = torch.unique(targets, return_inverse=True)
    n = len(targets)
    first = torch.full((len(used),), n, device=targets.device)
    first = first.scatter_reduce(0, right, torch.arange(n, device=targets.device), "amin")
    return used, first, right
