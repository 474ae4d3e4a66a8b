"""Costs of single requests to a click model: milliseconds with and without a cache, energy."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch

from m6rec_lite.m6rec import (
    Examples,
    LateInteractionScoring,
    MultiTaskModel,
    SegmentCache,
    answers_with,
    count_multiply_adds,
    energy_joules,
    measure_latency,
)
from m6rec_lite.m6rec.compress.late_interaction import cut_segments

#: Timed requests.
REQUESTS = 200


def request_costs(both: MultiTaskModel, examples: Examples) -> dict[str, float]:
    """Return milliseconds and energy of single requests, drawn from the rows.

    The milliseconds are those of the processor, which other programs on the machine do not change.
    """
    n = min(REQUESTS, len(examples))
    drawn = np.random.default_rng(0).permutation(len(examples))[:n]
    rows = [(examples.known[i], examples.written[i]) for i in drawn]
    cache = SegmentCache(100_000)
    measure = partial(measure_latency, n=n, clock=time.process_time)
    cold, warm = answers_with(both, SegmentCache(1)), answers_with(both, cache)
    row: dict[str, float] = {}
    if isinstance(both.task("scoring"), LateInteractionScoring):
        latency = measure(lambda i: cold(*rows[i]))
        row |= {"cold_p50_ms": latency.p50, "cold_p95_ms": latency.p95}
        row["found"] = share_found(examples)
        measure(lambda i: warm(*rows[i]))  # fills the cache
    latency = measure(lambda i: warm(*rows[i]))
    counts = [count_multiply_adds(partial(warm, *row)) for row in rows[:20]]
    parts = {id(part): part.nbytes for part in both.model.state_dict().values()}
    row |= {"p50_ms": latency.p50, "p95_ms": latency.p95}
    row["multiply_adds"] = float(np.mean(counts))
    row["energy_mj"] = 1000 * energy_joules(row["multiply_adds"], sum(parts.values()))
    return row


def share_found(examples: Examples, capacity: int = 10_000) -> float:
    """Return the share of segments that a cache holds while the rows arrive in their order."""
    cache = SegmentCache(capacity)
    for known, written in zip(examples.known, examples.written, strict=True):
        for region, causal in ((known, False), (written, True)):
            for tokens in cut_segments(region):
                cache.states(("", causal, tokens.tobytes()), lambda: torch.zeros(0))
    return cache.hits / (cache.hits + cache.misses)
