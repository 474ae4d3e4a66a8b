"""Measure seconds and resident memory, in MiB (2**20 bytes).

The operating system records the exact peak of a process's lifetime on Linux, macOS and Windows. If
a measured block raised that peak, it is used; otherwise the maximum of samples taken every few
milliseconds.
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
    """Return the resident memory of a process (default: this one), in MiB."""
    return (process or psutil.Process()).memory_info().rss / MIB


def peak_mib(process: psutil.Process | None = None) -> float:
    """Return the peak resident memory of a process (default: this one), in MiB.

    NaN where the system does not record it: for other processes, on all systems except Linux and
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
    """Result of a measurement.

    Attributes:
        seconds: wall-clock time.
        peak_mib: largest growth of resident memory, in MiB.
    """

    seconds: float
    peak_mib: float


class Meter:
    """Measure the seconds and the largest growth of resident memory of a ``with`` block.

    Garbage is not collected first, since that would take longer than most blocks; memory that the
    block reuses or frees is therefore not counted. Measure large models in a new process.

    Args:
        interval: seconds between two samples of memory.
        children: measure the total memory of the processes that the block starts, in place of
            the growth of this process.

    Attributes:
        cost: the result; NaN until the block ends.
    """

    def __init__(self, interval: float = 0.01, *, children: bool = False) -> None:
        self.interval, self.children = interval, children
        self.cost = Cost(float("nan"), float("nan"))
        self._peak = 0.0

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
                child_peak = peak_mib(child)
            except psutil.Error:  # it has ended
                continue
            if child_peak > self._peak:  # False for NaN
                self._peak = child_peak
        self._peak = max(self._peak, total)

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            self._sample()

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before: set[int] = set()
        if self.children:
            self._before = {child.pid for child in self._process.children(recursive=True)}
        self._start = 0.0 if self.children else resident_mib()
        self._peak = self._start
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
        if not self.children and peak_mib() > self._lifetime:  # the exact peak
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
        model: object with ``fit(train, *, validation, items, users, progress)``; fitted in place.
        split: its ``train`` and ``validation`` are passed to the model.
        items: the items table, for the models that read it.
        users: the users table, for the models that read it.
        progress: show a progress bar.
    """
    tables = {"items": items, "users": users}
    with Meter() as meter:
        model.fit(split.train, validation=split.validation, progress=progress, **tables)
    return meter.cost
