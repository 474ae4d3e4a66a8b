"""What the loop trains on: the batches of an epoch, each built on demand by its number.

An epoch is a ``Sequence``: ``len`` says how many batches it has and ``[i]`` builds the i-th. Both
depend on nothing but ``(seed, epoch, i)``. So several processes can share an epoch out by number,
and a run that was cut off goes on at batch i without building those before it.

A batch is nested tuples, lists and dicts of tensors, or has a method ``to(device)`` of its own; the
loop moves it to the device.

``RowBatches`` serves tensors whose rows are examples. To write your own (bucketed, packed, with
negatives drawn), give an object with one method ``epoch(seed, epoch)``; draw with
``rng(seed, epoch)`` in there and with ``rng(seed, epoch, i)`` in a batch, never from global state.
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
    """A source of batches; a batch is whatever the loss takes."""

    def epoch(self, seed: int, epoch: int) -> Sequence[Batch]:
        """The batches of one epoch, counted from 0; the same for the same arguments."""


def rng(seed: int, epoch: int, *place: int) -> np.random.Generator:
    """A generator of its own for an epoch, or for one batch of it."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, *place)))


class Epoch(Sequence[Batch]):
    """A sequence from a length and a function: ``Epoch(n, lambda i: …)``.

    Args:
        n: number of batches.
        build: builds batch i, for i from 0 to n - 1.
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
    """Rows of tensors in a new random order each epoch, ``batch_size`` of them at a time.

    Args:
        tensors: one or more, each ``(n_rows, …)``; a batch is a tuple of ``(batch, …)``.
        batch_size: rows a batch; the last batch of an epoch takes what is left.
        shuffle: draw a new order each epoch; else the rows come as they are.

    Raises:
        ValueError: if there is no row, the tensors differ in rows, or ``batch_size`` is below 1.
    """

    def __init__(self, *tensors: torch.Tensor, batch_size: int, shuffle: bool = True) -> None:
        rows = {len(tensor) for tensor in tensors}
        if len(rows) != 1 or rows == {0}:
            raise ValueError(
                "wanted one or more tensors with the same number of rows, at least 1; got rows "
                f"{[len(tensor) for tensor in tensors]}"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        self.tensors = tensors
        self.batch_size = batch_size
        self.shuffle = shuffle

    def epoch(self, seed: int, epoch: int) -> Epoch[tuple[torch.Tensor, ...]]:
        """The epoch's batches, ``ceil(n_rows / batch_size)`` of them."""
        n, size = len(self.tensors[0]), self.batch_size
        order = rng(seed, epoch).permutation(n) if self.shuffle else np.arange(n)
        rows = torch.from_numpy(order)  # (n_rows,)

        def build(i: int) -> tuple[torch.Tensor, ...]:
            return tuple(tensor[rows[i * size : (i + 1) * size]] for tensor in self.tensors)

        return Epoch(-(-n // size), build)


def fingerprint(batch: Any) -> str:
    """Twelve hex digits for the numbers in a batch, by which other data are told apart."""
    digest = hashlib.sha256()
    for array in arrays(batch):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def arrays(batch: Any) -> Iterator[np.ndarray]:
    """Every array in a batch of nested tuples, lists, dicts and dataclasses, in order."""
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
