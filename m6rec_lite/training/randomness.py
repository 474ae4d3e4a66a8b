"""The generators of random numbers that a run draws from: seeded, kept and put back.

Dropout draws from torch's global generators. A run sets them from its own seed and gives the
caller's back when it ends, so that training changes no other randomness and none changes it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of Python's, numpy's, torch's and the device's generators, as plain values."""
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 (the global one is meant)
    state = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device.type in ("cuda", "mps", "xpu"):
        module = getattr(torch, device.type)
        where = () if device.type == "mps" else (device,)
        state[device.type] = module.get_rng_state(*where)
    return state


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put back what ``random_state`` returned."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if device.type in state:
        module = getattr(torch, device.type)
        where = () if device.type == "mps" else (device,)
        module.set_rng_state(state[device.type], *where)


@contextmanager
def own_randomness(seed: int, process: int, device: torch.device) -> Iterator[None]:
    """All generators set from a seed, another on each process; the caller's come back after."""
    outside = random_state(device)
    own = np.random.SeedSequence(seed, spawn_key=(process,))
    set_seed(int(own.generate_state(1)[0]))
    try:
        yield
    finally:
        set_random_state(outside, device)
