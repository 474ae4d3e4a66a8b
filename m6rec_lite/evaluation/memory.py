"""Resident memory of processes, in MiB (2**20 bytes): the one meter of the package.

The kernel keeps the exact peak of a process's life on Linux, macOS and Windows; where a block
raised it, that figure is used, else the highest of samples taken every few milliseconds.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

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


class MemoryMeter:
    """Measure the peak of resident memory while a ``with`` block runs.

    Garbage of earlier work is not collected first, which would cost more than most blocks: what a
    block reuses or frees of it does not show. Measure large models in a fresh process.

    Args:
        children: measure the processes that the block starts, together, instead of this process.
        interval: seconds between two samples.

    Attributes:
        start_mib: resident memory when the block began; 0 for ``children``.
        peak_mib: its highest value since.
    """

    def __init__(self, *, children: bool = False, interval: float = 0.01) -> None:
        self.children, self.interval = children, interval
        self.start_mib = self.peak_mib = 0.0

    def _sample(self) -> None:
        if not self.children:
            self.peak_mib = max(self.peak_mib, resident_mib())
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
            if own > self.peak_mib:  # False for NaN
                self.peak_mib = own
        self.peak_mib = max(self.peak_mib, total)

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            self._sample()

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before: set[int] = set()
        if self.children:
            self._before = {child.pid for child in self._process.children(recursive=True)}
        else:
            self.start_mib = self.peak_mib = resident_mib()
        self._lifetime = peak_mib()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()
        if not self.children and peak_mib() > self._lifetime:  # a new record, and exact
            self.peak_mib = max(self.peak_mib, peak_mib())
