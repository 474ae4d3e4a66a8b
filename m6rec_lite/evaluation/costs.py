"""What a model costs: seconds, peak memory, parameters.

Memory is the growth of the process's resident set above where it stood at the start. The kernel
keeps the exact peak of a process's life; where the block raised it, that figure is used, else the
highest of samples taken every few milliseconds. What is garbage already is collected before the
block, so that to give it back does not count as the block's thrift. Memory that Python kept from
earlier work and used again does not show, so measure large models in a fresh process.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from m6rec_lite.data.holdout import Split


@dataclass(frozen=True)
class Cost:
    """What a piece of work took.

    Attributes:
        seconds: wall clock.
        peak_mb: growth of resident memory at its highest, in MiB; NaN where it cannot be read.
    """

    seconds: float
    peak_mb: float


def _resident_mb() -> float:
    """Resident memory now, in MiB; NaN where neither /proc nor psutil tells."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        import resource

        return pages * resource.getpagesize() / 2**20
    except (OSError, ImportError):
        pass
    try:
        import psutil
    except ImportError:
        return float("nan")
    return psutil.Process().memory_info().rss / 2**20


def _lifetime_peak_mb() -> float:
    """The highest resident memory this process ever had, in MiB; NaN where it is not kept."""
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


class Meter:
    """Measures the block it opens: ``with Meter() as meter: …`` and then ``meter.cost``.

    Args:
        interval: seconds between two looks at the memory.
    """

    def __init__(self, interval: float = 0.01) -> None:
        self.interval = interval
        self.cost = Cost(float("nan"), float("nan"))

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            self._highest = max(self._highest, _resident_mb())

    def __enter__(self) -> Self:
        gc.collect()
        self._start = self._highest = _resident_mb()
        self._lifetime = _lifetime_peak_mb()
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
        peak = max(self._highest, _resident_mb())
        lifetime = _lifetime_peak_mb()
        if lifetime > self._lifetime:  # a new record: the kernel's figure is exact
            peak = max(peak, lifetime)
        self.cost = Cost(seconds, max(peak - self._start, 0.0))


def measure_fit(model: Any, split: Split, **tables: Any) -> Cost:
    """Fit a model on a split's training rows and say what it took.

    Args:
        model: anything with ``fit(train, *, validation=…, …)``.
        split: its ``train`` and ``validation`` are given to the model, its ``test`` is not.
        tables: further arguments of ``fit``, such as ``items=dataset.items``.

    Returns:
        the cost; the model is fitted in place.
    """
    with Meter() as meter:
        model.fit(split.train, validation=split.validation, **tables)
    return meter.cost
