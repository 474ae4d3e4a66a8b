"""The contract of M6-Rec's tasks: one format of examples, and five methods of one signature.

``build_examples`` turns data into rows of tokens, ``loss`` is the training loss of a batch,
``predict`` returns answers, ``evaluate`` measures answers, and ``baselines`` returns answers
without a model. A task is a ``torch`` module that holds its own weights, such as a classification
head, and is trained together with the model and other tasks (``joint``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from m6rec_lite.data import DataError
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.training.batches import Epoch, rng

#: Rows are sorted by length within a pool of this many batches.
POOL = 32


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of a task.

    Attributes:
        known: ``n`` arrays of tokens, ``[BOS'] … [EOS']``.
        written: ``n`` arrays of tokens, ``[BOS] … [EOS]``; empty if there is no written region.
        target: ``(n,)`` int64: the class or the item's index; 0 where the written tokens are the
            answer.
        about: ``n`` rows that describe the examples (``user_id``, ``item_id``, …).
        tokenizer: of the tokens; needed to generate text.
        catalogue: the candidate answers, in a form that depends on the task.
        part: of the data; "" for other rows.
    """

    known: list[np.ndarray]
    written: list[np.ndarray]
    target: np.ndarray
    about: pd.DataFrame = field(default_factory=pd.DataFrame)
    tokenizer: Tokenizer | None = None
    catalogue: Any = None
    part: str = ""

    def __post_init__(self) -> None:
        sizes = {len(self.known), len(self.written), len(self.target)}
        if self.about.shape[1]:
            sizes.add(len(self.about))
        if len(sizes) != 1:
            raise ValueError(
                f"examples have {len(self.known)} known and {len(self.written)} written regions, "
                f"{len(self.target)} targets and {len(self.about)} rows: wanted as many of each"
            )

    def __len__(self) -> int:
        return len(self.known)

    def __getitem__(self, rows: Sequence[int] | np.ndarray | slice) -> Examples:
        """Select rows by a slice, ``(k,)`` indices, or an ``(n,)`` bool mask."""
        index = np.arange(len(self))[rows]
        about = self.about.iloc[index] if self.about.shape[1] else self.about
        known, written = ([region[i] for i in index] for region in (self.known, self.written))
        return replace(
            self,
            known=known,
            written=written,
            target=self.target[index],
            about=about.reset_index(drop=True),
        )

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each row, both regions together, ``(n,)``."""
        pairs = zip(self.known, self.written, strict=True)
        return np.array([len(known) + len(written) for known, written in pairs], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """A batch of rows, padded on the right.

    Attributes:
        ids: ``(batch, time)`` int64 tokens.
        lengths: ``(batch,)`` number of real tokens of each row.
        prefix: ``(batch,)`` number of tokens of each known region.
        target: ``(batch,)``, see ``Examples``.
        rows: ``(batch,)`` indices of the examples.
    """

    ids: Tensor
    lengths: Tensor
    prefix: Tensor
    target: Tensor
    rows: Tensor

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> TaskBatch:
        """Return a copy on a device."""
        names = ("ids", "lengths", "prefix", "target", "rows")
        tensors = {
            name: getattr(self, name).to(device, non_blocking=non_blocking) for name in names
        }
        return replace(self, **tensors)

    @property
    def mask(self) -> Tensor:
        """Mask of the real tokens, ``(batch, time)`` bool."""
        return torch.arange(self.ids.shape[1], device=self.ids.device) < self.lengths[:, None]

    def states(self, model: M6RecModel) -> Tensor:
        """Return the state of every token, padding included, ``(batch, time, hidden_size)``."""
        return model.states(self.ids, self.mask, self.prefix)

    def last(self, states: Tensor) -> Tensor:
        """Return the state at each row's last token, ``(batch, hidden_size)``."""
        return states[torch.arange(len(states), device=states.device), self.lengths - 1]

    def target_mask(self) -> Tensor:
        """Return the mask of positions that predict a written token, ``(batch, time)`` bool."""
        position = torch.arange(self.ids.shape[1], device=self.ids.device)
        return (position >= self.prefix[:, None]) & (position < self.lengths[:, None] - 1)


def collate(examples: Examples, rows: np.ndarray, pad: int = 0) -> TaskBatch:
    """Return the examples of these indices as a batch."""
    lengths = [len(examples.known[i]) + len(examples.written[i]) for i in rows]
    ids = np.full((len(rows), max(lengths, default=0)), pad, dtype=np.int64)
    for line, (i, length) in enumerate(zip(rows, lengths, strict=True)):
        ids[line, :length] = np.concatenate([examples.known[i], examples.written[i]])
    return TaskBatch(
        torch.from_numpy(ids),
        torch.tensor(lengths, dtype=torch.long),
        torch.tensor([len(examples.known[i]) for i in rows], dtype=torch.long),
        torch.from_numpy(examples.target[rows].astype(np.int64)),
        torch.from_numpy(np.array(rows, dtype=np.int64)),
    )


def cut_by_length(rows: np.ndarray, lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Split rows of increasing length so that each part, padded, has at most ``tokens``.

    A longer row is a part of its own.

    Args:
        rows: ``(k,)`` indices into ``lengths``, the shortest first.
        lengths: ``(n,)`` numbers of tokens.
        tokens: of a part at most, padding included.
    """
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or (end - start + 1) * lengths[rows[end]] > tokens:
            yield rows[start:end]
            start = end


class TaskBatches:
    """Batches for ``training.fit`` of similar numbers of tokens, with rows of similar length.

    Args:
        examples: at least one.
        tokens: of a batch at most, padding included; a longer row is a batch of its own.
        shuffle: draw a new order each epoch; else batches are in order of increasing length.
        pad: id of ``[PAD]``.

    Raises:
        ValueError: if there is no example, or ``tokens`` is below 1.
    """

    def __init__(
        self, examples: Examples, tokens: int = 4096, *, shuffle: bool = True, pad: int = 0
    ) -> None:
        if not len(examples):
            raise ValueError("there are no examples to make batches of")
        if tokens < 1:
            raise ValueError(f"tokens must be at least 1, got {tokens!r}")
        self.examples, self.tokens, self.shuffle, self.pad = examples, tokens, shuffle, pad
        self._lengths = examples.lengths

    def epoch(self, seed: int, epoch: int) -> Epoch[TaskBatch]:
        """Return the batches of an epoch, in which every example occurs once."""
        n, draw = len(self.examples), rng(seed, epoch)
        order = draw.permutation(n) if self.shuffle else np.arange(n)
        pool = n
        if self.shuffle:
            pool = max(1, int(POOL * self.tokens / max(1.0, self._lengths.mean())))
        parts: list[np.ndarray] = []
        for start in range(0, n, pool):
            rows = order[start : start + pool]
            rows = rows[np.argsort(self._lengths[rows], kind="stable")]
            parts += cut_by_length(rows, self._lengths, self.tokens)
        if self.shuffle:
            parts = [parts[i] for i in draw.permutation(len(parts))]
        return Epoch(len(parts), lambda i: collate(self.examples, parts[i], self.pad))


class Task(nn.Module, ABC):
    """A task of the model, with weights of its own if it needs some.

    Attributes:
        name: of the task, in files of weights and settings.
        table: of the dataset, from which examples are built.
        parts: of the data from which examples are built; every task has ``train`` and ``test``.
        test_factor: number of examples that take as long as one of a text generation task.
    """

    name: ClassVar[str]
    table: ClassVar[str] = "interactions"
    parts: ClassVar[tuple[str, ...]] = ("train", "validation", "test")
    test_factor: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def create(
        cls, data: TaskData, hidden_size: int, settings: Mapping[str, Any] | None = None
    ) -> Self:
        """Return a new task of these settings for a dataset and a model's hidden size."""
        return cls(**settings or {})

    @classmethod
    def supports(cls, data: TaskData) -> bool:
        """Return whether the dataset has the table that the task reads."""
        return getattr(data.dataset, cls.table) is not None

    def build_examples(
        self,
        data: TaskData,
        prompts: PromptBuilder,
        part: str = "train",
        *,
        limit: int | None = None,
        fit: bool = False,
    ) -> Examples:
        """Return the examples of a part of the data, as rows of tokens.

        Args:
            data: the dataset, its split and the seed of the draws.
            prompts: turns users and items into text, and text into tokens. Events and other
                details are left out, the oldest first, if a row would be too long.
            part: one of ``parts``. Nothing of ``validation`` or ``test`` is in ``train``.
            limit: maximum number of examples, sampled; None takes all.
            fit: fit the task's own statistics (levels of numbers, rates, popularity) to these
                rows. Do so once, with the training rows, before any other rows are built.

        Raises:
            DataError: if the dataset lacks a table, or a table is invalid.
            ValueError: on an unknown part, a limit below 1, or a row that is too long.
        """
        if part not in self.parts:
            raise ValueError(f"part must be one of {', '.join(self.parts)}, got {part!r}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 or None, got {limit!r}")
        if getattr(data.dataset, self.table) is None:
            raise DataError(
                f"{data.dataset.name!r} has no {self.table}; load_dataset('bazaar') has"
            )
        return replace(self._examples(data, prompts, part, limit, fit), part=part)

    @abstractmethod
    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """Return the mean loss of a batch, a scalar in nats."""

    @abstractmethod
    def predict(self, model: M6RecModel, examples: Examples, *, batch_tokens: int = 16_384) -> Any:
        """Return the model's answer to each example, without gradients.

        Subclasses have further keyword arguments, all with defaults.

        Args:
            model: in any mode; it is used in ``eval`` mode.
            examples: ``n``.
            batch_tokens: of a forward pass, at most.
        """

    def evaluate(self, outputs: Any, examples: Examples, data: TaskData) -> dict[str, float]:
        """Return metrics of answers; which ones depends on the task.

        Args:
            outputs: of ``predict``, or one of ``baselines``.
            examples: that the outputs answer.
            data: of the examples.

        Raises:
            ValueError: unless there is one output for each example, and at least one.
        """
        if len(outputs) != len(examples) or not len(examples):
            raise ValueError(
                f"wanted an answer for each of {len(examples)} examples, got {len(outputs)}"
            )
        return self._figures(outputs, examples, data)

    def baselines(self, train: Examples, examples: Examples, data: TaskData) -> Mapping[str, Any]:
        """Return answers of simple rules, by name, in the format of ``predict``.

        Args:
            train: training examples.
            examples: to be answered.
            data: of both.

        Raises:
            ValueError: if there are no training examples.
        """
        if not len(train):
            raise ValueError(f"there are no examples of {self.name} to learn from")
        return self._baselines(train, examples, data)

    def choose(
        self, model: M6RecModel, data: TaskData, prompts: PromptBuilder, limit: int
    ) -> dict[str, Any]:
        """Select settings of prediction on at most ``limit`` validation examples.

        Returns:
            The selected settings, for the report; empty by default.
        """
        return {}

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON values."""
        return {}

    @abstractmethod
    def _examples(
        self, data: TaskData, prompts: PromptBuilder, part: str, limit: int | None, fit: bool
    ) -> Examples:
        """Build the examples of a part."""

    @abstractmethod
    def _figures(self, outputs: Any, examples: Examples, data: TaskData) -> dict[str, float]:
        """Return metrics of one output for each example, at least one."""

    @abstractmethod
    def _baselines(self, train: Examples, examples: Examples, data: TaskData) -> Mapping[str, Any]:
        """Return answers of simple rules, from at least one training example."""
