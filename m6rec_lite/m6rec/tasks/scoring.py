"""Scoring: the probability of a click, purchase or rating, by a softmax over classes at ``[EOS]``.

    [BOS'] the user, the day, the latest events [EOS'] [BOS] [ITEM] the item [SEP] statistics [EOS]

The known region is what happened before the impression's second. The written region is the shown
item, followed by the usual numeric features of click models in words: its position in the slate,
its views and clicks so far, its similarity to the user's past (``verbalizer``). Source: M6-Rec (Cui
et al., 2022, section 3), click-through and conversion rates.

Clicks are rare and rows of text are slow to encode, so the rows without the label are sampled,
``negatives`` for each row with it, and probabilities are corrected for the sampling (He et al.,
*Practical lessons from predicting clicks on ads at Facebook*, 2014, section 6.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.ctr.event_log import histories_before
from m6rec_lite.ctr.impressions import known_at, split_by_time
from m6rec_lite.data import DataError, Dataset, Histories, Interactions
from m6rec_lite.evaluation.ctr import ctr_metrics
from m6rec_lite.language.text.document import Document
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch, TaskBatches
from m6rec_lite.m6rec.tasks.verbalizer import StatisticsVerbalizer
from m6rec_lite.nn.decoding import inference_mode

#: Groups of phrases about a shown item besides its text; see ``scoring.json``.
FEATURE_GROUPS = ("context", "item", "counts", "matches")


class Scoring(Task):
    """Classification of a shown item, from the state at the row's last token.

    Args:
        hidden_size: of the model.
        classes: number of classes; labels are 0, 1, … (False and True count as 0 and 1).
        feature_groups: groups of phrases about the item besides its text; () for none.
        events: the latest events of the user that are described; 0 for none.
        negatives: rows without the label to sample for each row with it; None keeps all.
        negative_share: share of the rows without the label that were sampled, for which ``predict``
            corrects the probabilities of two classes; set by ``build_examples`` with ``fit``.

    Raises:
        ValueError: if a setting is out of range.
    """

    name: ClassVar[str] = "scoring"
    table: ClassVar[str] = "impressions"
    test_factor: ClassVar[int] = 100

    def __init__(
        self,
        hidden_size: int,
        classes: int = 2,
        feature_groups: Sequence[str] = FEATURE_GROUPS,
        events: int = 5,
        negatives: float | None = 8.0,
        negative_share: float = 1.0,
    ) -> None:
        super().__init__()
        if hidden_size < 1 or classes < 2 or events < 0:
            raise ValueError(
                f"hidden_size must be at least 1, classes at least 2 and events at least 0, got "
                f"{hidden_size!r}, {classes!r} and {events!r}"
            )
        self.hidden_size, self.classes, self.events = hidden_size, classes, events
        self.negatives, self.negative_share = negatives, negative_share
        self.verbalizer = StatisticsVerbalizer(feature_groups)
        self.head = nn.Linear(hidden_size, classes)
        self.register_load_state_dict_pre_hook(_rename_weights)

    @classmethod
    def create(
        cls, data: TaskData, hidden_size: int, settings: Mapping[str, Any] | None = None
    ) -> Self:
        """Return a new task of these settings for a model's hidden size."""
        return cls(hidden_size, **settings or {})

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("hidden_size", "classes", "events", "negatives", "negative_share")
        settings = {name: getattr(self, name) for name in names}
        return settings | {"feature_groups": list(self.verbalizer.groups)}

    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Return an example for each impression: the earliest 80 % train, then 10 % each.

        The training rows without a click are sampled.
        """
        rows = dict(zip(self.parts, split_by_time(data.dataset.impressions), strict=True))[part]
        if part != "train":
            rows = rows.iloc[data.draw(len(rows), limit)]
        else:
            labels = rows["clicked"].to_numpy(np.float64)
            sampled, share = self.sample_negatives(labels, limit=limit, seed=data.seed)
            rows = rows.iloc[sampled]
            if fit:
                self.negative_share = share
        return self.encode(rows, data.dataset, prompts, fit=fit)

    def sample_negatives(
        self, labels: np.ndarray, *, limit: int | None = None, seed: int = 0
    ) -> tuple[np.ndarray, float]:
        """Sample training rows: those with the label, and ``negatives`` others for each.

        Args:
            labels: ``(n,)`` 0 or 1.
            limit: maximum number of rows; None keeps all rows with the label.
            seed: of the draw.

        Returns:
            Sorted indices of the sampled rows, and the share of rows without the label that are
            sampled, divided by the share of rows with it.
        """
        draw = np.random.default_rng(seed)
        positive, n_positive = np.flatnonzero(labels > 0), max(1, int((labels > 0).sum()))
        if limit is not None:
            n_most = limit if self.negatives is None else limit / (self.negatives + 1)
            positive = draw.permutation(positive)[: max(1, int(n_most))]
        negative = draw.permutation(np.flatnonzero(labels == 0))
        n_negative = len(negative)
        if self.negatives is not None:
            n_negative = min(n_negative, max(1, round(self.negatives * len(positive))))
        if limit is not None:
            n_negative = min(n_negative, limit)
        share = n_negative / max(1, len(negative)) / (max(1, len(positive)) / n_positive)
        return np.sort(np.concatenate([positive, negative[:n_negative]])), share

    def encode(
        self,
        impressions: pd.DataFrame,
        dataset: Dataset,
        prompts: PromptBuilder,
        *,
        label: str | None = "clicked",
        fit: bool = False,
    ) -> Examples:
        """Return an example for each impression.

        Args:
            impressions: ``n`` rows with ``user_id item_id timestamp``, ``position`` where there
                are slates, and the label.
            dataset: the event log; rows of an impression's second or later are ignored.
            prompts: turns users and items into text; the oldest events of a row that exceeds its
                limit are left out.
            label: column of classes; None for rows whose class is unknown.
            fit: fit the levels of numeric features to these rows, and initialize the head from
                their class frequencies.

        Raises:
            DataError: on a missing column, an unknown user or item, a label outside the classes,
                or training rows of a single class.
            ValueError: if a row does not fit the prompts' limit.
        """
        target = np.zeros(len(impressions), dtype=np.int64)
        if label is not None:
            target = self._targets(impressions, label, training=fit)
        known = self._known(impressions, dataset)
        words = [""] * len(impressions)
        if self.verbalizer.groups:
            table = known_at(impressions, dataset, groups=self.verbalizer.reads)
            if fit:
                self.verbalizer.fit(table)
            words = self.verbalizer.tell(table)
        if fit and label is not None:
            self._start_at(target)
        items = [prompts.text.item(item) for item in impressions["item_id"]]
        written = prompts.written(
            Document((("[ITEM]", item), *((("[SEP]", features),) if features else ())))
            for item, features in zip(items, words, strict=True)
        )
        names = ("user_id", "item_id", "timestamp", "slate_id", "position")
        about = impressions[[c for c in names if c in impressions]].reset_index(drop=True)
        region = self._regions(known, written, prompts)
        return Examples(region, written, target, about, prompts.tokenizer)

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the cross-entropy of the true classes."""
        return F.cross_entropy(self._logits(model, batch), batch.target)

    @torch.no_grad()
    def predict(
        self, model: M6RecModel, examples: Examples, *, batch_tokens: int = 16_384
    ) -> np.ndarray:
        """Return the probability of class 1, ``(n,)``; with more classes, ``(n, classes)``.

        Args:
            model: in any mode; it is used in ``eval`` mode.
            examples: ``n``.
            batch_tokens: of a forward pass, at most.
        """
        probabilities = np.zeros((len(examples), self.classes))
        if len(examples):
            with inference_mode(model):
                device = self.head.weight.device
                for batch in TaskBatches(examples, batch_tokens, shuffle=False).epoch(0, 0):
                    logits = self._logits(model, batch.to(device))
                    probabilities[batch.rows.numpy()] = logits.double().softmax(dim=1).cpu().numpy()
        if self.classes > 2:
            return probabilities
        return correct_for_sampling(probabilities[:, 1], self.negative_share)

    def _figures(self, outputs: np.ndarray, examples: Examples, data: TaskData) -> dict[str, float]:
        """Return AUC, log loss and other metrics; with an oracle, also its AUC."""
        truth, users = examples.target, examples.about["user_id"].to_numpy()
        if self.classes > 2:
            return {"accuracy": float(np.mean(outputs.argmax(axis=1) == truth))}
        metrics = {"clicked": float(truth.mean())} | ctr_metrics(truth, outputs, users)
        names = ("user_id", "item_id", "timestamp", "position")
        if data.dataset.oracle is not None and set(names) <= set(examples.about):
            columns = (examples.about[name].to_numpy() for name in names)
            best = data.dataset.oracle.click_probability(*columns)
            metrics["auc of the oracle"] = ctr_metrics(truth, best, users)["auc"]
        return metrics

    def _baselines(
        self, train: Examples, examples: Examples, data: TaskData
    ) -> dict[str, np.ndarray]:
        """Return the class frequencies of the training rows, for every example."""
        rates = np.bincount(train.target, minlength=self.classes) / len(train)
        if self.classes > 2:
            return {"mean rate": np.tile(rates, (len(examples), 1))}
        rate = correct_for_sampling(rates[1:], self.negative_share)
        return {"mean rate": np.repeat(rate, len(examples))}

    def _logits(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return logits, ``(batch, classes)``."""
        return self.head(batch.last(batch.states(model)))

    @torch.no_grad()
    def _start_at(self, target: np.ndarray) -> None:
        """Initialize the head's bias with the log-odds of the classes."""
        rates = np.bincount(target, minlength=self.classes).clip(1) / len(target)
        self.head.weight.mul_(0.1)
        self.head.bias.copy_(torch.from_numpy(np.log(rates / rates[0])))

    def _regions(
        self, known: Histories, written: list[np.ndarray], prompts: PromptBuilder
    ) -> list[np.ndarray]:
        """Return the known regions, each with as many events as fit beside its written region."""
        regions: list[np.ndarray] = [np.zeros(0, dtype=np.int32)] * len(written)
        sizes = np.array([len(row) for row in written], dtype=np.int64)
        sizes += -sizes % 8  # rows of similar size are encoded together
        for size in np.unique(sizes).tolist():
            rows = np.flatnonzero(sizes == size)
            try:
                encoded = prompts.people(known[rows], room=size)
            except ValueError:  # in some row not even the latest event fits
                encoded = [_region(known[[row]], prompts, size) for row in rows.tolist()]
            for row, region in zip(rows.tolist(), encoded, strict=True):
                regions[row] = region
        return regions

    def _targets(self, impressions: pd.DataFrame, label: str, *, training: bool) -> np.ndarray:
        if label not in impressions:
            raise DataError(f"no column {label!r} to learn from among {list(impressions.columns)}")
        if not len(impressions):
            raise DataError(f"there are no rows with a label {label!r}")
        labels = impressions[label]
        valid = labels.isin(range(self.classes))
        if not valid.all():
            raise DataError(
                f"the label {label!r} must be one of the classes 0 to {self.classes - 1} in every "
                f"row (or true or false); got {labels[~valid].unique()[:5].tolist()}"
            )
        target = labels.to_numpy(np.int64)
        if training and target.min() == target.max():
            raise DataError(
                f"all {len(target)} rows have {label} = {labels.iloc[0]}: there is nothing to tell "
                "apart. Give rows of more than one class"
            )
        return target

    def _known(self, impressions: pd.DataFrame, dataset: Dataset) -> Histories:
        """Return the history of each impression's user before its second."""
        if missing := {"user_id", "item_id", "timestamp"} - set(impressions):
            raise DataError(
                f"impressions need user_id, item_id and timestamp; {sorted(missing)} missing among "
                f"{list(impressions.columns)}"
            )
        ids = np.sort(dataset.items["item_id"].to_numpy())
        rows = dataset.interactions if self.events else dataset.interactions.iloc[:0]
        log = Interactions.from_frame(rows, item_ids=ids)
        users, at = impressions["user_id"].to_numpy(), impressions["timestamp"].to_numpy()
        return histories_before(log, users, at, latest=self.events or None)[0]


def correct_for_sampling(probability: np.ndarray, share: float) -> np.ndarray:
    """Correct probabilities for the sampling of the training rows without the label.

    ``p / (p + (1 - p) / share)``: the odds were too high by ``1 / share``.

    Args:
        probability: ``(n,)``.
        share: of the rows without the label that were sampled.
    """
    return probability / (probability + (1 - probability) / share)


def _rename_weights(task: Scoring, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Rename the weights of older files, in which the verbalizer has another name."""
    if (edges := state.pop(f"{prefix}telling.edges", None)) is not None:
        state[f"{prefix}verbalizer.edges"] = edges


def _region(known: Histories, prompts: PromptBuilder, room: int) -> np.ndarray:
    """Return a known region, without events if not even the latest one fits."""
    try:
        return prompts.people(known, room=room)[0]
    except ValueError:
        return prompts.people(known.last(0), room=room)[0]
