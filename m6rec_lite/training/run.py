"""The state of a run, and what came of it."""

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
    """What came of a run.

    Attributes:
        records: a dict an epoch: ``epoch`` (from 1), ``step``, ``loss`` and what the loss logged
            (means over the epoch), ``lr``, ``seconds`` of training, and what ``validate`` found.
        stopped: why the run ended before its time, or None.
    """

    records: list[dict[str, float]] = field(default_factory=list)
    stopped: str | None = None

    def frame(self) -> pd.DataFrame:
        """The records as a table, a row an epoch."""
        return pd.DataFrame(self.records)

    def __getitem__(self, key: str) -> list[float]:
        return [record[key] for record in self.records]

    def __len__(self) -> int:
        return len(self.records)


@dataclass
class Run:
    """The state of a run, which callbacks read; to end the run they set ``stopping``."""

    model: nn.Module
    optimizer: torch.optim.Optimizer | AcceleratedOptimizer
    accelerator: Accelerator
    base_rates: list[float]  # of each group of parameters, before any schedule
    total_steps: int  # of the whole run, as far as is known
    saved: str | None = None  # the last checkpoint, as errors name it
    epoch: int = 0  # epochs finished
    position: int = 0  # batches of this epoch that are used up
    step: int = 0  # steps of the optimizer taken
    rate_scale: float = 1.0  # multiplies what the schedule says
    loss: float = float("nan")  # of the step that was looked at last
    sums: dict[str, torch.Tensor] = field(default_factory=dict)  # of this epoch and process
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
        """``fp32``, ``bf16`` or ``fp16``, as ``fit`` names them."""
        return {"no": "fp32"}.get(
            self.accelerator.mixed_precision, self.accelerator.mixed_precision
        )

    def set_rates(self, share: float) -> None:
        """Set every group's rate to a share of what the optimizer was made with."""
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * share * self.rate_scale

    def add(self, numbers: Mapping[str, Any], weight: float) -> None:
        """Add the numbers of a batch to the epoch's sums, without waiting for the device."""
        device = self.accelerator.device
        kind = torch.float32 if device.type == "mps" else torch.float64
        numbers = {**numbers, "": 1.0}  # under the empty name: the sum of the weights
        if self.sums and self.sums.keys() != numbers.keys():
            raise ValueError(
                f"the loss must log the same names for every batch; it logged "
                f"{sorted(self.sums.keys() - {'', 'loss'})} before and "
                f"{sorted(numbers.keys() - {'', 'loss'})} now"
            )
        for key, number in numbers.items():
            number = torch.as_tensor(number).detach().to(device, kind) * weight
            self.sums[key] = self.sums[key] + number if key in self.sums else number

    def means(self) -> dict[str, float]:
        """The epoch's means over all processes."""
        names = sorted(self.sums)
        sums = self.accelerator.reduce(torch.stack([self.sums[name] for name in names]), "sum")
        total = dict(zip(names, sums.tolist(), strict=True))
        weight = total.pop("")
        return {name: value / weight for name, value in total.items()}

    def next_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch, self.position, self.sums, self.seconds = self.epoch + 1, 0, {}, 0.0
        self.start_clock()

    def start_clock(self) -> None:
        """Count seconds from here."""
        self._clock = time.perf_counter()

    def stop_clock(self) -> float:
        """Add the seconds since the clock started to this epoch's, and start it anew."""
        now = time.perf_counter()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        return self.seconds
