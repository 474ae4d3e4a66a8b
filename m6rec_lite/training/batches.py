"""Batches of an epoch, each built on demand from its index.

An epoch is a ``Sequence``: ``len`` is its number of batches and ``[i]`` builds batch i. Both
depend only on ``(seed, epoch, i)``. Several processes can therefore divide an epoch by index, and
an interrupted run continues at batch i without building the batches before it.

A batch consists of nested tuples, lists and dicts of tensors, or has its own method
``to(device)``; the loop moves it to the device.

``RowBatches`` serves tensors whose rows are examples. To write your own (bucketed, packed, with
sampled negatives), pass an object with one method ``epoch(seed, epoch)``; draw random numbers from
``rng(seed, epoch)`` in that method and from ``rng(seed, epoch, i)`` in batch i, never from global
state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

Batch = TypeVar("Batch", covariant=True)


class Batches(Protocol[Batch]):
    """A source of batches; a batch is any object that the loss accepts."""

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """Return the batches of an epoch, counted from 0; equal for equal arguments."""


def rng(seed: int, epoch: int, *index: int) -> np.random.Generator:
    """Return a separate random generator for an epoch, or for the batch ``index`` of it."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, *index)))


class Epoch(Sequence[Batch]):
    """A sequence defined by a length and a function: ``Epoch(n, lambda i: …)``.

    Args:
        n: number of batches.
        build: function that returns batch i, for i from 0 to n - 1.
    """

    def __init__(self, n: int, build: Callable[[int], Batch]) -> None:
        self._n = n
        self._build = build

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i: int) -> Batch:  # type: ignore[override]
        if not 0 <= i < self._n:
            raise IndexError(f"batch {i} of {self._n}")
        return self._build(i)


class RowBatches:
    """Batches of ``batch_size`` rows of tensors, in a new random order each epoch.

    Args:
        tensors: one or more, each ``(n_rows, …)``; a batch is a tuple of ``(batch, …)``.
        batch_size: rows per batch; the last batch of an epoch may be smaller.
        shuffle: draw a new order each epoch; otherwise keep the order of the rows.

    Raises:
        ValueError: if there is no row, the tensors differ in rows, or ``batch_size`` is below 1.
    """

    def __init__(self, *tensors: torch.Tensor, batch_size: int, shuffle: bool = True) -> None:
        rows = {len(tensor) for tensor in tensors}
        if len(rows) != 1 or rows == {0}:
            raise ValueError(
                "expected one or more tensors with the same number of rows, at least 1; got rows "
                f"{[len(tensor) for tensor in tensors]}"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        self.tensors = tensors
        self.batch_size = batch_size
        self.shuffle = shuffle

    def epoch(self, seed: int, epoch: int) -> Epoch[tuple[torch.Tensor, ...]]:
        """Return the epoch's ``ceil(n_rows / batch_size)`` batches."""
        n, size = len(self.tensors[0]), self.batch_size
        order = rng(seed, epoch).permutation(n) if self.shuffle else np.arange(n)
        rows = torch.from_numpy(order)  # (n_rows,)

        def build(i: int) -> tuple[torch.Tensor, ...]:
            return tuple(tensor[rows[i * size : (i + 1) * size]] for tensor in self.tensors)

        return Epoch(-(-n // size), build)


def fingerprint(batch: Any) -> str:
    """Return 12 hex digits of a hash of the numbers in a batch."""
    digest = hashlib.sha256()
    for array in arrays(batch):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def arrays(batch: Any) -> Iterator[np.ndarray]:
    """Yield every array of nested tuples, lists, dicts and dataclasses, in order."""
    if isinstance(batch, torch.Tensor):
        tensor = batch.detach().cpu()
        yield (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    elif isinstance(batch, (np.ndarray, np.generic, int, float, str)):
        yield np.asarray(batch)
    elif is_dataclass(batch):
        for field in fields(batch):
            yield from arrays(getattr(batch, field.name))
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from arrays(value)
    elif isinstance(batch, (tuple, list)):
        for value in batch:
            yield from arrays(value)
