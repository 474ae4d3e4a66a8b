"""What every task of M6-Rec is: rows of one form, and three verbs.

``build_examples`` turns data into rows of tokens, ``loss`` says how wrong the one model is about a
batch of them, ``predict`` answers. What a task needs beside the model (a matrix to classes, or to a
space where people and items meet) are its own weights: a task is a ``torch`` module, trained
together with the model and the other tasks (``joint``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.training.batches import Epoch, rng

#: Rows of like length are looked for among so many times a batch's tokens.
POOL = 32


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of a task.

    Attributes:
        known: ``n`` arrays of tokens, ``[BOS'] … [EOS']``.
        written: ``n`` arrays of tokens, ``[BOS] … [EOS]``; empty where nothing is written.
        target: ``(n,)`` int64: what is right, as the task counts it (a class, an item's place); 0
            where the written tokens are themselves what is right.
        about: ``n`` rows that say what each example is about (``user_id``, ``item_id``, …).
    """

    known: list[np.ndarray]
    written: list[np.ndarray]
    target: np.ndarray
    about: pd.DataFrame = field(default_factory=pd.DataFrame)

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
        """Some of them: a slice, ``(k,)`` places, or ``(n,)`` bools."""
        places = np.arange(len(self))[rows]
        about = self.about.iloc[places] if self.about.shape[1] else self.about
        known, written = ([each[i] for i in places] for each in (self.known, self.written))
        return Examples(known, written, self.target[places], about.reset_index(drop=True))

    @property
    def lengths(self) -> np.ndarray:
        """``(n,)`` tokens of each row, both regions."""
        pairs = zip(self.known, self.written, strict=True)
        return np.array([len(known) + len(written) for known, written in pairs], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """Some rows side by side, filled up behind their ends.

    Attributes:
        ids: ``(batch, time)`` int64 tokens.
        lengths: ``(batch,)`` real tokens of each row.
        prefix: ``(batch,)`` of these, the known region's.
        target: ``(batch,)``, see ``Examples``.
        rows: ``(batch,)`` places among the examples.
    """

    ids: Tensor
    lengths: Tensor
    prefix: Tensor
    target: Tensor
    rows: Tensor

    def to(self, device: torch.device | str, **options: Any) -> TaskBatch:
        """The same on a device."""
        names = ("ids", "lengths", "prefix", "target", "rows")
        return replace(self, **{name: getattr(self, name).to(device, **options) for name in names})

    @property
    def mask(self) -> Tensor:
        """``(batch, time)`` bool: which tokens are real."""
        return torch.arange(self.ids.shape[1], device=self.ids.device) < self.lengths[:, None]

    def states(self, model: M6RecModel) -> Tensor:
        """``(batch, time, hidden_size)``: the state of every token; ignore those of filling."""
        return model.states(self.ids, self.mask, self.prefix)

    def last(self, states: Tensor) -> Tensor:
        """``(batch, hidden_size)``: the state at each row's last token."""
        return states[torch.arange(len(states), device=states.device), self.lengths - 1]

    def target_mask(self) -> Tensor:
        """``(batch, time)`` bool: the places whose next token is a written one, after ``[BOS]``."""
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        return (place >= self.prefix[:, None]) & (place < self.lengths[:, None] - 1)


def collate(examples: Examples, rows: np.ndarray, pad: int = 0) -> TaskBatch:
    """The rows at these places as a batch."""
    lengths = [len(examples.known[i]) + len(examples.written[i]) for i in rows]
    ids = np.full((len(rows), max(lengths, default=0)), pad, dtype=np.int64)
    for line, (i, length) in enumerate(zip(rows, lengths, strict=True)):
        ids[line, :length] = np.concatenate([examples.known[i], examples.written[i]])
    return TaskBatch(
        torch.from_numpy(ids),
        torch.tensor(lengths, dtype=torch.long),
        torch.tensor([len(examples.known[i]) for i in rows], dtype=torch.long),
        torch.from_numpy(examples.target[rows].astype(np.int64)),
        torch.from_numpy(np.asarray(rows, dtype=np.int64)),
    )


class TaskBatches:
    """Batches for ``training.fit`` of about as many tokens each, rows of like length together.

    Args:
        examples: at least one.
        tokens: of a batch, filling included; a longer row is a batch of its own.
        shuffle: draw a new order each epoch; else batches come from short rows to long.
        pad: id of ``[PAD]``.

    Raises:
        ValueError: if there is no example or no room.
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
        """Every example once."""
        n, draw = len(self.examples), rng(seed, epoch)
        order = draw.permutation(n) if self.shuffle else np.arange(n)
        pool = n
        if self.shuffle:
            pool = max(1, int(POOL * self.tokens / max(1.0, self._lengths.mean())))
        parts: list[np.ndarray] = []
        for start in range(0, n, pool):
            some = order[start : start + pool]
            parts += self._cut(some[np.argsort(self._lengths[some], kind="stable")])
        if self.shuffle:
            parts = [parts[i] for i in draw.permutation(len(parts))]
        return Epoch(len(parts), lambda i: collate(self.examples, parts[i], self.pad))

    def _cut(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Rows from short to long, cut so that each part's longest times its number fits."""
        start = 0
        for end in range(1, len(rows) + 1):
            if end == len(rows) or (end - start + 1) * self._lengths[rows[end]] > self.tokens:
                yield rows[start:end]
                start = end


class Task(nn.Module, ABC):
    """One thing to ask the model, with weights of its own where it needs some.

    Attributes:
        name: of the task, by which weights and files know it.
    """

    name: ClassVar[str]

    @abstractmethod
    def build_examples(self, *args: Any, **options: Any) -> Examples:
        """Rows of tokens from data; each task says from which."""

    @abstractmethod
    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        """A scalar: how wrong the model is about a batch, a mean in nats."""

    @abstractmethod
    def predict(self, model: M6RecModel, examples: Examples, **options: Any) -> Any:
        """What the model answers to each example, without gradients."""

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {}
