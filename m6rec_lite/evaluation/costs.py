"""What a piece of work costs: seconds and resident memory, in MiB (2**20 bytes).

This is the one meter of the package. The kernel keeps the exact peak of a process's life on Linux,
macOS and Windows; where a block raised it, that figure is used, else the highest of samples taken
every few milliseconds.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import psutil

from m6rec_lite.data.holdout import Split

MIB = 2**20


def resident_mib(process: psutil.Process | None = None) -> float:
    """Return the resident memory of a process (this one when left out), in MiB."""
    return (process or psutil.Process()).memory_info().rss / MIB


def peak_mib(process: psutil.Process | None = None) -> float:
    """Return the highest resident memory in the life of a process (this one when left out), in MiB.

    NaN where the system does not keep it: for other processes that is everywhere but on Linux and
    Windows.
    """
    process = process or psutil.Process()
    try:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    except OSError:  # not on Linux, or the process ended
        pass
    if sys.platform == "win32":
        return process.memory_info().peak_wset / MIB
    if process.pid != psutil.Process().pid:
        return float("nan")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


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
    """Measure a ``with`` block: its seconds, and the growth of resident memory at its highest.

    Garbage of earlier work is not collected first, which would cost more than most blocks: what a
    block reuses or frees of it does not show. Measure large models in a fresh process.

    Args:
        interval: seconds between two samples of memory.
        children: measure the memory of the processes that the block starts, together, instead of
            this process; their growth is all they hold.

    Attributes:
        cost: what the block took; NaN until it ends.
    """

    def __init__(self, interval: float = 0.01, *, children: bool = False) -> None:
        self.interval, self.children = interval, children
        self.cost = Cost(float("nan"), float("nan"))

    def _sample(self) -> None:
        if not self.children:
            self._peak = max(self._peak, resident_mib())
            return
        total = 0.0
        for child in self._process.children(recursive=True):
            if child.pid in self._before:
                continue
            try:
                total += resident_mib(child)
                own = peak_mib(child)
            except psutil.Error:  # it ended meanwhile
                continue
            if own > self._peak:  # False for NaN
                self._peak = own
        self._peak = max(self._peak, total)

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            self._sample()

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before: set[int] = set()
        if self.children:
            self._before = {child.pid for child in self._process.children(recursive=True)}
        self._start = self._peak = 0.0 if self.children else resident_mib()
        self._lifetime = peak_mib()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._clock = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = time.perf_counter() - self._clock
        self._done.set()
        self._thread.join()
        self._sample()
        if not self.children and peak_mib() > self._lifetime:  # a new record, and exact
            self._peak = max(self._peak, peak_mib())
        self.cost = Cost(seconds, self._peak - self._start)


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
