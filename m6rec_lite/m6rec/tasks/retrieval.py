"""Retrieval: recommend the items whose vectors are nearest to the user's vector.

    user   [BOS'] the user, the day, the events [EOS']   -> state at [EOS'] -> linear -> unit length
    item   [BOS] [ITEM] the item [EOS]                   -> state at [EOS]  -> linear -> unit length

Two towers of one model: an item's text is encoded alone, so that a catalogue is encoded once and
then searched. A batch's items are each other's negatives (in-batch softmax). Popular items are
negatives more often than rare ones; the log-Q correction accounts for that. Source: M6-Rec (Cui et
al., 2022, section 3): 128 dimensions, temperature 0.07; Yi et al., *Sampling-bias-corrected neural
modeling for large corpus item recommendations*, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
from m6rec_lite.nn.excluded import Excluded
from m6rec_lite.nn.losses import AddedScores, linear_cross_entropy
from m6rec_lite.nn.masks import causal_mask


def in_batch_softmax(
    people: Tensor,
    items: Tensor,
    right: Tensor,
    *,
    tau: float,
    log_share: Tensor | None = None,
    excluded: Excluded | None = None,
    added: AddedScores | None = None,
) -> Tensor:
    """Return the mean cross-entropy of each user's target among the items of the batch.

    An item that is the target of several users is one candidate, and never a negative of any of
    them. Its score is raised by ``ln c``, where ``c`` is its number of occurrences; with the
    correction, ``c`` is divided by its expected number, ``n q``. The probability that an item of
    the batch is the target is then proportional to ``p / q``, so that the scores converge to
    ``ln p`` and not to ``ln p - ln q`` (Ma and Collins, *Noise contrastive estimation and negative
    sampling for conditional models*, 2018).

    Args:
        people: user vectors, ``(n, d)`` of unit length.
        items: vectors of the distinct items of the batch, ``(m, d)`` of unit length.
        right: index of each user's target among ``items``, ``(n,)`` int64.
        tau: temperature, by which cosines are divided.
        log_share: ``(m,)`` ln q: the items' shares of all targets; None for no correction.
        excluded: for each user, indices among ``items`` that are no negatives, such as the items
            of the history.
        added: further scores of ``items``, such as those of a linear model.

    Returns:
        The mean over the users, a scalar in nats.
    """
    counts = torch.bincount(right, minlength=len(items)).clamp_min(1).to(people.dtype)
    log_counts = counts.log()
    if log_share is not None:
        log_counts = log_counts - log_share.to(people.dtype) - math.log(len(people))
    return linear_cross_entropy(
        people / tau, items, right, bias=log_counts, excluded=excluded, added=added
    )


class Retrieval(Task):
    """Retrieval by two towers that share one model.

    Args:
        hidden_size: of the model.
        n_items: of the catalogue.
        dimensions: of the user and item vectors.
        tau: temperature.
        logq_correction: subtract the log-frequency of each in-batch negative (log-Q correction).

    Attributes:
        log_share: ``(n_items,)`` ln q of every item, from ``count``; uniform before.

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
        logq_correction: bool = True,
    ) -> None:
        super().__init__()
        if min(hidden_size, n_items, dimensions) < 1 or not tau > 0:
            raise ValueError(
                "hidden_size, n_items and dimensions must be at least 1 and tau above 0, got "
                f"{hidden_size!r}, {n_items!r}, {dimensions!r} and {tau!r}"
            )
        self.hidden_size, self.n_items, self.dimensions = hidden_size, n_items, dimensions
        self.tau, self.logq_correction = tau, logq_correction
        self.person = nn.Linear(hidden_size, dimensions)
        self.item = nn.Linear(hidden_size, dimensions)
        self.register_buffer("log_share", torch.full((n_items,), -math.log(n_items)))

    @classmethod
    def create(
        cls, data: TaskData, hidden_size: int, settings: Mapping[str, Any] | None = None
    ) -> Self:
        """Return a new task of these settings for a dataset's catalogue and a hidden size."""
        return cls(hidden_size, len(data.split.item_ids), **settings or {})

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("hidden_size", "n_items", "dimensions", "tau", "logq_correction")
        return {name: getattr(self, name) for name in names}

    def count(self, targets: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Learn from ``(n,)`` training targets how frequent each item is.

        ``weights`` are proportional to how often each is a target; by default all are alike.
        """
        if weights is not None:
            weights = weights * (len(weights) / max(weights.sum(), 1e-12))
        counts = np.bincount(targets, weights, minlength=self.n_items).clip(1)
        self.log_share.copy_(torch.from_numpy(np.log(counts / max(1, counts.sum()))))

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return each user's history and next item.

        For ``train`` that is the last training event. The catalogue of the others is the written
        region of every item. To encode other rows, use ``encode``.
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
        """Return an example for each history.

        Args:
            histories: the past of each user; their ``item_ids`` are the catalogue.
            targets: ``(n,)`` index of each user's next item; None if it is unknown: the rows then
                have no written region.
            prompts: turns users and items into text; each region may have ``max_tokens`` tokens.
            fit: count the targets with ``count``, for the log-Q correction.

        Raises:
            DataError: on a target that is not in the catalogue.
        """
        known = prompts.people(histories)
        about = pd.DataFrame({"user_id": histories.user_ids})
        if targets is None:
            empty = [np.zeros(0, dtype=np.int32)] * len(known)
            target = np.zeros(len(known), dtype=np.int64)
            return Examples(known, empty, target, about, prompts.tokenizer)
        targets = np.asarray(targets, dtype=np.int64)
        if len(histories.item_ids) != self.n_items:
            raise DataError(
                f"the histories have {len(histories.item_ids)} items and the task was made for "
                f"{self.n_items}"
            )
        if targets.shape != (len(histories),):
            raise DataError(f"{len(histories)} histories need as many targets, got {targets.shape}")
        if len(targets) and not 0 <= targets.min() <= targets.max() < self.n_items:
            raise DataError(
                f"targets are indices from 0 to {self.n_items - 1} into the histories' item_ids; "
                f"got {targets.min()} to {targets.max()}"
            )
        if fit:
            self.count(targets)
        used, inverse = np.unique(targets, return_inverse=True)
        texts = prompts.items(histories.item_ids[used])
        about["item_id"] = histories.item_ids[targets]
        return Examples(known, [texts[i] for i in inverse], targets, about, prompts.tokenizer)

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the in-batch softmax loss over the distinct items of the batch, in nats."""
        states = self.states(model, batch)
        used, first, right = _distinct(batch.target)
        people = self.people(states[torch.arange(len(states)), batch.prefix - 1])
        items = self.items(batch.last(states)[first])
        return self.contrast(people, items, used, right)

    def contrast(
        self,
        people: Tensor,
        items: Tensor,
        used: Tensor,
        right: Tensor,
        history: Excluded | None = None,
        added: AddedScores | None = None,
    ) -> Tensor:
        """Return ``in_batch_softmax`` of vectors; ``used`` are the items' catalogue indices.

        ``history`` has for each user the catalogue indices of items that are no negatives;
        ``added`` has further scores of ``used``.
        """
        share = self.log_share[used] if self.logq_correction else None
        excluded = None if history is None else history.among(used, self.n_items)
        return in_batch_softmax(
            people, items, right, tau=self.tau, log_share=share, excluded=excluded, added=added
        )

    def states(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the state of every token, ``(batch, time, hidden_size)``.

        The written region does not attend to the known one.
        """
        position = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        known = position < batch.prefix[:, None]  # (batch, time)
        same = known[:, :, None] == known[:, None, :]
        visible = known[:, None, :] | causal_mask(len(position), device=position.device)
        mask = (same & visible & batch.mask[:, None, :])[:, None]
        position_ids = torch.where(known, position, position - batch.prefix[:, None])
        return model.states(batch.ids, mask, position_ids=position_ids)

    def people(self, states: Tensor, added: Tensor | None = None) -> Tensor:
        """Map states at ``[EOS']``, ``(…, hidden_size)``, to unit vectors ``(…, dimensions)``.

        ``added``, ``(…, dimensions)``, is added before the vectors are scaled to length 1.
        """
        vectors = self.person(states)
        return F.normalize(vectors if added is None else vectors + added, dim=-1)

    def items(self, states: Tensor) -> Tensor:
        """Map states at ``[EOS]``, ``(…, hidden_size)``, to unit vectors ``(…, dimensions)``."""
        return F.normalize(self.item(states), dim=-1)

    def item_vectors(
        self, model: M6RecModel, written: list[np.ndarray], *, batch_tokens: int = 16_384
    ) -> np.ndarray:
        """Encode written regions, such as ``prompts.items``, as ``(n, dimensions)`` float32."""
        empty = [np.zeros(0, dtype=np.int32)] * len(written)
        target = np.zeros(len(written), dtype=np.int64)
        return self._vectors(model, Examples(empty, written, target), self.items, batch_tokens)

    def user_vectors(
        self, model: M6RecModel, examples: Examples, *, batch_tokens: int = 16_384
    ) -> np.ndarray:
        """Encode the known regions of examples as ``(n, dimensions)`` float32."""
        empty = [np.zeros(0, dtype=np.int32)] * len(examples)
        known = Examples(examples.known, empty, examples.target)
        return self._vectors(model, known, self.people, batch_tokens)

    def predict(
        self,
        model: M6RecModel,
        examples: Examples,
        *,
        items: np.ndarray | None = None,
        batch_tokens: int = 16_384,
    ) -> np.ndarray:
        """Return the cosine of each user with each item.

        Args:
            model: used in ``eval`` mode.
            examples: ``n``; their written regions are ignored.
            items: ``(m, dimensions)`` from ``item_vectors``; None encodes ``examples.catalogue``.
            batch_tokens: of a forward pass, at most.

        Returns:
            ``(n, m)`` float32.

        Raises:
            ValueError: without items or a catalogue.
        """
        if items is None and examples.catalogue is None:
            raise ValueError("retrieval needs items to compare users with: pass items=, from "
                             "item_vectors, or build the examples of a part")  # fmt: skip
        if items is None:
            items = self.item_vectors(model, examples.catalogue, batch_tokens=batch_tokens)
        return self.user_vectors(model, examples, batch_tokens=batch_tokens) @ items.T

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
        self,
        model: M6RecModel,
        examples: Examples,
        tower: Callable[[Tensor], Tensor],
        batch_tokens: int,
    ) -> np.ndarray:
        vectors = np.zeros((len(examples), self.dimensions), dtype=np.float32)
        if len(examples):
            with inference_mode(model):
                device = self.item.weight.device
                for batch in TaskBatches(examples, batch_tokens, shuffle=False).epoch(0, 0):
                    encoded = tower(batch.last(self.states(model, batch.to(device))))
                    vectors[batch.rows.numpy()] = encoded.float().cpu().numpy()
        return vectors


def _distinct(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the distinct targets, the row where each occurs first, and each row's index."""
    used, right = torch.unique(targets, return_inverse=True)
    n = len(targets)
    first = torch.full((len(used),), n, device=targets.device)
    first = first.scatter_reduce(0, right, torch.arange(n, device=targets.device), "amin")
    return used, first, right
