"""What a model costs: milliseconds and energy of a request, at batch 1 on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

#: Picojoules in a 45 nm process (Horowitz, *Computing's energy problem*, ISSCC 2014, figure 1.1.9):
#: one multiplication and addition of 32-bit floats (3.7 + 0.9) or 8-bit integers (0.2 + 0.03), and
#: one byte from DRAM (640 for 32 bits).
PJ_FLOAT32, PJ_INT8, PJ_DRAM_BYTE = 4.6, 0.23, 160.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds of requests, one at a time.

    Attributes:
        p50: median.
        p95: exceeded by one request in twenty.
    """

    p50: float
    p95: float


def measure_latency(
    request: Callable[[int], Any],
    n: int,
    *,
    warm_up: int = 5,
    threads: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time ``request(0)`` … ``request(n - 1)`` after some that are not counted.

    Args:
        request: answers request i.
        n: number of requests, at least 1.
        warm_up: requests before, of the first indices.
        threads: of torch while it runs.
        clock: returns seconds. ``time.process_time`` counts the time on the processor: on an idle
            machine it is the same for one thread, and other programs do not change it.

    Raises:
        ValueError: if ``n`` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1 request, got {n!r}")
    before, milliseconds = torch.get_num_threads(), np.zeros(n)
    torch.set_num_threads(threads)
    try:
        for i in range(min(warm_up, n)):
            request(i)
        for i in range(n):
            start = clock()
            request(i)
            milliseconds[i] = 1000 * (clock() - start)
    finally:
        torch.set_num_threads(before)
    return Latency(*np.quantile(milliseconds, [0.5, 0.95]).tolist())


def count_multiply_adds(request: Callable[[], Any]) -> int:
    """Return the multiplications and additions of matrix products that a call computes.

    Products in 8 bits by other libraries are not seen; zeros are multiplied like other numbers.
    """
    with FlopCounterMode(display=False) as counter:
        request()
    return counter.get_total_flops() // 2


def energy_joules(
    multiply_adds: float, weight_bytes: float, *, pj_multiply_add: float = PJ_FLOAT32
) -> float:
    """Estimate the energy of a request by a formula; nothing is measured.

    ``E = multiply_adds * pj_multiply_add + weight_bytes * 160 pJ``: every product, and every weight
    once from DRAM, at the prices of ``PJ_FLOAT32``'s source. Activations, caches and idle power are
    left out, so only ratios of two models mean something.
    """
    return (multiply_adds * pj_multiply_add + weight_bytes * PJ_DRAM_BYTE) * 1e-12


def pareto(costs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return which models no other one dominates, ``(n,)`` bool.

    A model dominates if it is as good in both respects, and better in one.

    Args:
        costs: ``(n,)``, lower is better.
        values: ``(n,)``, higher is better.
    """
    as_good = (costs <= costs[:, None]) & (values >= values[:, None])
    better = (costs < costs[:, None]) | (values > values[:, None])
    return np.logical_not(np.any(as_good & better, axis=1))
