"""The state of a run and its history."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn


@dataclass
class History:
    """The records of a run.

    Attributes:
        records: one dict per epoch: ``epoch`` (from 1), ``step``, ``loss`` and the logged numbers
            (means over the epoch), ``lr``, ``seconds`` of training, and the results of
            ``validate``.
        stopped: why the run ended early, or None.
    """

    records: list[dict[str, float]] = field(default_factory=list)
    stopped: str | None = None

    def frame(self) -> pd.DataFrame:
        """Return the records as a table with one row per epoch."""
        return pd.DataFrame(self.records)

    def __getitem__(self, key: str) -> list[float]:
        return [record[key] for record in self.records]

    def __len__(self) -> int:
        return len(self.records)


@dataclass
class Run:
    """The state of a run, passed to callbacks; to end the run they set ``stopping``."""

    model: nn.Module
    optimizer: torch.optim.Optimizer | AcceleratedOptimizer
    accelerator: Accelerator
    base_rates: list[float]  # of each parameter group, before any schedule
    total_steps: int  # of the whole run
    saved: str | None = None  # path of the last checkpoint
    epoch: int = 0  # epochs finished
    position: int = 0  # batches of this epoch already used
    step: int = 0  # optimizer steps taken
    rate_scale: float = 1.0  # multiplies the schedule
    loss: float = float("nan")  # of the last step whose loss was read
    sums: dict[str, torch.Tensor] = field(default_factory=dict)  # over this epoch and process
    seconds: float = 0.0  # of this epoch
    history: History = field(default_factory=History)
    stopping: str | None = None
    _clock: float = field(default_factory=time.perf_counter)

    @property
    def lr(self) -> float:
        """The learning rate of the first group of parameters."""
        return self.optimizer.param_groups[0]["lr"]

    @property
    def precision(self) -> str:
        """``fp32``, ``bf16`` or ``fp16``, as in ``fit``."""
        return {"no": "fp32"}.get(
            self.accelerator.mixed_precision, self.accelerator.mixed_precision
        )

    def set_rates(self, factor: float) -> None:
        """Set the rate of every parameter group to a fraction of its base rate."""
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor * self.rate_scale

    def add(self, numbers: Mapping[str, Any], weight: float) -> None:
        """Add the numbers of a batch to the epoch's sums, without synchronising the device."""
        device = self.accelerator.device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        numbers = {**numbers, "": 1.0}  # the empty name holds the sum of weights
        if self.sums and self.sums.keys() != numbers.keys():
            raise ValueError(
                f"the loss must log the same names for every batch; it logged "
                f"{sorted(self.sums.keys() - {'', 'loss'})} before and "
                f"{sorted(numbers.keys() - {'', 'loss'})} now"
            )
        for key, number in numbers.items():
            number = torch.as_tensor(number).detach().to(device, dtype) * weight
            self.sums[key] = self.sums[key] + number if key in self.sums else number

    def means(self) -> dict[str, float]:
        """Return the epoch's means over all processes."""
        names = sorted(self.sums)
        sums = self.accelerator.reduce(torch.stack([self.sums[name] for name in names]), "sum")
        total = dict(zip(names, sums.tolist(), strict=True))
        weight = total.pop("")
        return {name: value / weight for name, value in total.items()}

    def next_epoch(self) -> None:
        """Move to the start of the next epoch."""
        self.epoch, self.position, self.sums, self.seconds = self.epoch + 1, 0, {}, 0.0
        self.start_clock()

    def start_clock(self) -> None:
        """Start the clock of training seconds."""
        self._clock = time.perf_counter()

    def stop_clock(self) -> float:
        """Add the seconds since the clock started to this epoch's, restart it, return the sum."""
        now = time.perf_counter()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        return self.seconds
