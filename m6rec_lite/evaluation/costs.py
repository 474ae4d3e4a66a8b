"""What a model costs: seconds, peak memory, parameters.

Memory is the growth of the process's resident set above where it stood at the start; see
``memory`` for how it is measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pandas as pd

from m6rec_lite.data.holdout import Split
from m6rec_lite.evaluation.memory import MemoryMeter


@dataclass(frozen=True)
class Cost:
    """What a piece of work took.

    Attributes:
        seconds: wall clock.
        peak_mib: growth of resident memory at its highest, in MiB.
    """

    seconds: float
    peak_mib: float


class Meter:
    """Measures the block it opens: ``with Meter() as meter: …`` and then ``meter.cost``.

    Args:
        interval: seconds between two looks at the memory.
    """

    def __init__(self, interval: float = 0.01) -> None:
        self.interval = interval
        self.cost = Cost(float("nan"), float("nan"))

    def __enter__(self) -> Self:
        self._memory = MemoryMeter(interval=self.interval)
        self._memory.__enter__()
        self._clock = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = time.perf_counter() - self._clock
        self._memory.__exit__(kind, error, trace)
        self.cost = Cost(seconds, self._memory.peak_mib - self._memory.start_mib)


def measure_fit(
    model: Any,
    split: Split,
    *,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    progress: bool = True,
) -> Cost:
    """Fit a model on a split's training rows and measure seconds and memory.

    Args:
        model: anything with ``fit(train, *, validation, items, users, progress)``; fitted in place.
        split: its ``train`` and ``validation`` are given to the model, its ``test`` is not.
        items: the items table, for the models that read it.
        users: the users table, for the models that read it.
        progress: show a bar where fitting takes long.
    """
    tables = {"items": items, "users": users}
    with Meter() as meter:
        model.fit(split.train, validation=split.validation, progress=progress, **tables)
    return meter.cost
