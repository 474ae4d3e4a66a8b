"""Requests and environments that the tests of ``feedback`` share, made once a process."""

from __future__ import annotations

from functools import cache

import numpy as np

from m6rec_lite.feedback import Requests, SlateEnvironment, live_requests
from tests.worlds import small


@cache
def requests() -> Requests:
    """240 requests and 12 candidates of a small bazaar."""
    return live_requests(small(), n=240, candidates=12, seed=1)


def environment(*, slate_size: int = 3, satisfaction: str = "clicks") -> SlateEnvironment:
    """A new environment on ``requests``."""
    return SlateEnvironment(requests(), slate_size=slate_size, satisfaction=satisfaction)


def features(n: int, m: int, d: int = 2, seed: int = 0) -> np.ndarray:
    """Random ``(n, m, d)`` float32 features whose first is 1."""
    values = np.random.default_rng(seed).normal(size=(n, m, d)).astype(np.float32)
    values[..., 0] = 1.0
    return values
