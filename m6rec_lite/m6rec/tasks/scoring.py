"""Scoring: will somebody click, buy or like what is shown? A softmax over classes at ``[EOS]``.

    [BOS'] who, the day, the latest events [EOS'] [BOS] [ITEM] the item [SEP] what was known [EOS]

The known region is what had happened before the impression's second; the written one is the shown
item, and in words what click models read as numbers: its place in the slate, how often it was met
and clicked, what it has in common with the user's past (``telling``). Source: M6-Rec (Cui et al.,
2022, section 3), click-through and conversion rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m6rec_lite.data import DataError, Dataset, Histories, Interactions
from m6rec_lite.language.document import Document
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch, TaskBatches
from m6rec_lite.m6rec.tasks.verbalizer import StatisticsVerbalizer
from m6rec_lite.nn.decoding import reading
from m6rec_lite.recommenders.impressions import known_at
from m6rec_lite.recommenders.past import histories_before

#: What is told of a shown item besides its text; see ``scoring.json``.
TOLD = ("context", "item", "counts", "matches")


class Scoring(Task):
    """Classes of a shown item, from the state at the row's last token.

    Args:
        hidden_size: of the model.
        classes: how many; a label is one of 0, 1, … (False and True count as 0 and 1).
        told: groups of phrases about the item besides its own words; () for none.
        events: the latest events of the user that are told; 0 for none.

    Raises:
        ValueError: if a setting is out of range.
    """

    name: ClassVar[str] = "scoring"

    def __init__(
        self, hidden_size: int, classes: int = 2, told: Sequence[str] = TOLD, events: int = 5
    ) -> None:
        super().__init__()
        if hidden_size < 1 or classes < 2 or events < 0:
            raise ValueError(
                f"hidden_size must be at least 1, classes at least 2 and events at least 0, got "
                f"{hidden_size!r}, {classes!r} and {events!r}"
            )
        self.hidden_size, self.classes, self.events = hidden_size, classes, events
        self.telling = StatisticsVerbalizer(told)
        self.head = nn.Linear(hidden_size, classes)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "hidden_size": self.hidden_size,
            "classes": self.classes,
            "told": list(self.telling.groups),
            "events": self.events,
        }

    def build_examples(
        self,
        impressions: pd.DataFrame,
        dataset: Dataset,
        prompts: PromptBuilder,
        *,
        label: str | None = "clicked",
        fit: bool = False,
    ) -> Examples:
        """An example an impression.

        Args:
            impressions: ``n`` rows with ``user_id item_id timestamp``, ``position`` where there
                are slates, and the label.
            dataset: the log; what it has at an impression's second or later is not looked at.
            prompts: its text puts people and items into words; its limit holds for a whole row,
                and the oldest events fall out where it is too low.
            label: column of classes; None for questions whose answer is not known.
            fit: these are training rows: learn from them which numbers are high (once, before
                any other rows are built).

        Raises:
            DataError: on a missing column, an unknown user or item, a label outside the classes,
                or training rows that are all of one class.
            ValueError: if a row does not fit the prompts' limit.
        """
        target = np.zeros(len(impressions), dtype=np.int64)
        if label is not None:
            target = self._targets(impressions, label, training=fit)
        known = self._known(impressions, dataset, prompts)
        words = [""] * len(impressions)
        if self.telling.groups:
            table = known_at(impressions, dataset, groups=self.telling.reads)
            if fit:
                self.telling.fit(table)
            words = self.telling.tell(table)
        items = [prompts.text.item(item) for item in impressions["item_id"]]
        pairs = zip(items, words, strict=True)
        written = prompts.written(
            Document((("[ITEM]", item), *((("[SEP]", more),) if more else ())))
            for item, more in pairs
        )
        columns = [c for c in ("user_id", "item_id", "timestamp", "slate_id") if c in impressions]
        about = impressions[columns].reset_index(drop=True)
        return Examples(self._people(known, written, prompts), written, target, about)

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Cross-entropy of the right classes."""
        return F.cross_entropy(self._logits(model, batch), batch.target)

    @torch.no_grad()
    def predict(
        self, model: M6RecModel, examples: Examples, *, tokens: int = 16384, **options: Any
    ) -> np.ndarray:
        """The chance of class 1, ``(n,)``; of more than two classes each one's, ``(n, classes)``.

        Args:
            model: any mode; it is asked in ``eval`` mode.
            examples: ``n``.
            tokens: that run at a time.
            options: none.
        """
        found = np.zeros((len(examples), self.classes))
        if len(examples):
            with reading(model):
                device = self.head.weight.device
                for batch in TaskBatches(examples, tokens, shuffle=False).epoch(0, 0):
                    logits = self._logits(model, batch.to(device))
                    found[batch.rows.numpy()] = logits.double().softmax(dim=1).cpu().numpy()
        return found[:, 1] if self.classes == 2 else found

    def _logits(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """``(batch, classes)``."""
        return self.head(batch.last(batch.states(model)))

    def _people(
        self, known: Histories, written: list[np.ndarray], prompts: PromptBuilder
    ) -> list[np.ndarray]:
        """The known regions, each with as many events as its written region leaves room for."""
        people: list[np.ndarray] = [np.zeros(0, dtype=np.int32)] * len(written)
        rooms = np.array([len(row) for row in written], dtype=np.int64)
        rooms += -rooms % 8  # rows of about one size are told together
        for room in np.unique(rooms).tolist():
            rows = np.flatnonzero(rooms == room)
            try:
                told = prompts.people(known[rows], room=room)
            except ValueError:  # somewhere not even the latest event fits
                told = [_person(known[[row]], prompts, room) for row in rows.tolist()]
            for row, region in zip(rows.tolist(), told, strict=True):
                people[row] = region
        return people

    def _targets(self, impressions: pd.DataFrame, label: str, *, training: bool) -> np.ndarray:
        if label not in impressions:
            raise DataError(f"no column {label!r} to learn from among {list(impressions.columns)}")
        if not len(impressions):
            raise DataError(f"there are no rows with a label {label!r}")
        given = impressions[label]
        right = given.isin(range(self.classes))
        if not right.all():
            raise DataError(
                f"the label {label!r} must be one of the classes 0 to {self.classes - 1} in every "
                f"row (or true or false); got {given[~right].unique()[:5].tolist()}"
            )
        target = given.to_numpy(np.int64)
        if training and target.min() == target.max():
            raise DataError(
                f"all {len(target)} rows have {label} = {given.iloc[0]}: there is nothing to tell "
                "apart. Give rows of more than one class"
            )
        return target

    def _known(
        self, impressions: pd.DataFrame, dataset: Dataset, prompts: PromptBuilder
    ) -> Histories:
        """What each impression's user had done before its second."""
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


def _person(known: Histories, prompts: PromptBuilder, room: int) -> np.ndarray:
    """One known region; without events where not even the latest one fits."""
    try:
        return prompts.people(known, room=room)[0]
    except ValueError:
        return prompts.people(known.last(0), room=room)[0]
