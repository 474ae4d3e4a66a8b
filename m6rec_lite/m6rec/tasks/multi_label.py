"""Several binary labels of a shown item, from one pass: clicked, and bought once clicked.

    [BOS'] the user [EOS'] [BOS] [ITEM] the item [EOS] -> h -> K logits

One state answers K questions of a row, so a row is encoded once. The loss is ``multi_task_loss``: a
sum over the labels that a row has, and a mean over the rows. Other tasks of several labels need a
pass for each (``joint``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from m6rec_lite.data import DataError
from m6rec_lite.evaluation.ctr import ctr_metrics
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.losses import multi_task_loss
from m6rec_lite.m6rec.tasks.scoring import FEATURE_GROUPS, Scoring, correct_for_sampling
from m6rec_lite.m6rec.tasks.task import Examples, TaskBatch, TaskBatches
from m6rec_lite.nn.decoding import inference_mode

#: Target of a row without the label.
MISSING = -1


class MultiLabelScoring(Scoring):
    """K binary labels of a shown item, predicted by one state.

    The targets of its examples are ``(n, K)``: 0, 1, or -1 where a row has no such label.

    Args:
        hidden_size: of the model.
        labels: names of K columns of the impressions.
        given: by the name of a label, the label that a row must have for it to exist: its
            probability is a conditional one. By default a purchase is asked of clicked rows.
        feature_groups: see ``Scoring``, also for the arguments below.
        events: the latest events of the user that are described.
        negatives: rows without a click to sample for each row with one; None keeps all.
        negative_share: share of the rows without a click that were sampled.

    Raises:
        ValueError: if a label appears twice, or ``given`` names another one.
    """

    name: ClassVar[str] = "multi_label_scoring"

    def __init__(
        self,
        hidden_size: int,
        labels: Sequence[str] = ("clicked", "purchased"),
        given: Mapping[str, str] | None = None,
        feature_groups: Sequence[str] = FEATURE_GROUPS,
        events: int = 5,
        negatives: float | None = 8.0,
        negative_share: float = 1.0,
    ) -> None:
        super().__init__(hidden_size, 2, feature_groups, events, negatives, negative_share)
        if given is None:
            given = {"purchased": "clicked"} if {"clicked", "purchased"} <= set(labels) else {}
        named = {*given, *given.values()}
        if not labels or len(set(labels)) < len(labels) or named - set(labels):
            raise ValueError(
                f"labels must be one or more different names, and given name some of them; got "
                f"labels={list(labels)} and given={dict(given)}"
            )
        self.labels, self.given = tuple(labels), dict(given)
        self.classes = 1  # no softmax over classes, so nothing for option tuning to replace
        self.head = nn.Linear(hidden_size, len(self.labels))

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        settings = super().settings() | {"labels": list(self.labels), "given": self.given}
        del settings["classes"]
        return settings

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the multi-task loss of a batch."""
        labels = batch.target.float()
        return multi_task_loss(
            self._logits(model, batch), labels.masked_fill(batch.target == MISSING, torch.nan)
        )

    @torch.no_grad()
    def predict(
        self, model: M6RecModel, examples: Examples, *, batch_tokens: int = 16_384
    ) -> np.ndarray:
        """Return the probability of each label, ``(n, K)``; see ``Scoring.predict``."""
        probabilities = np.zeros((len(examples), len(self.labels)))
        if len(examples):
            with inference_mode(model):
                device = self.head.weight.device
                for batch in TaskBatches(examples, batch_tokens, shuffle=False).epoch(0, 0):
                    logits = self._logits(model, batch.to(device)).double()
                    probabilities[batch.rows.numpy()] = logits.sigmoid().cpu().numpy()
        for k, label in enumerate(self.labels):
            if label == "clicked":  # by which rows are sampled
                corrected = correct_for_sampling(probabilities[:, k], self.negative_share)
                probabilities[:, k] = corrected
        return probabilities

    def _figures(self, outputs: np.ndarray, examples: Examples, data: TaskData) -> dict[str, float]:
        """Return the metrics of each label, over the rows that have it."""
        users, figures = examples.about["user_id"].to_numpy(), dict[str, float]()
        for k, label in enumerate(self.labels):
            rows = examples.target[:, k] != MISSING
            if rows.any():
                metrics = ctr_metrics(examples.target[rows, k], outputs[rows, k], users[rows])
                figures |= {f"{label} {name}": value for name, value in metrics.items()}
        return figures

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return the share of each label in the training rows that have it, for every example."""
        rates = np.ma.masked_equal(train.target, MISSING).mean(axis=0).filled(0.5)
        for k, label in enumerate(self.labels):
            if label == "clicked":
                rates[k] = correct_for_sampling(rates[k : k + 1], self.negative_share)[0]
        return {"mean rate": np.tile(rates, (len(examples), 1))}

    @torch.no_grad()
    def _start_at(self, target: np.ndarray) -> None:
        """Initialize the head's bias with the log-odds of each label."""
        rates = np.ma.masked_equal(target, MISSING).mean(axis=0).filled(0.5).clip(1e-3, 1 - 1e-3)
        self.head.weight.mul_(0.1)
        self.head.bias.copy_(torch.from_numpy(np.log(rates / (1 - rates))))

    def _targets(self, impressions: pd.DataFrame, label: str, *, training: bool) -> np.ndarray:
        """Return the labels of all rows, ``(n, K)``; ``label`` only says that they are known."""
        if absent := [name for name in self.labels if name not in impressions]:
            raise DataError(f"no columns {absent} to learn from among {list(impressions.columns)}")
        columns = impressions[list(self.labels)]
        if not columns.isin([0, 1]).all(axis=None):
            raise DataError(
                f"the labels {list(self.labels)} must be 0 or 1 (or true or false) in every row; "
                "more than two classes need Scoring(…, classes=)"
            )
        target = np.array(columns, dtype=np.int64)  # a copy
        for name, by in self.given.items():
            without = target[:, self.labels.index(by)] != 1
            target[without, self.labels.index(name)] = MISSING
        return target
