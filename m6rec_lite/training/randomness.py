"""Random number generators of a run: seed them, save their state and restore it.

Dropout draws from torch's global generators. A run seeds them and restores the caller's state at
its end, so that training and the code around it do not change each other's random numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from accelerate.utils import set_seed


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the states of the generators of Python, numpy, torch and the device."""
    generator = np.random.get_state(legacy=True)  # noqa: NPY002 (numpy's global generator)
    name, keys, *others = cast(tuple[str, np.ndarray, int, int, float], generator)
    state = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *others),
        "torch": torch.get_rng_state(),
    }
    if device.type in ("cuda", "mps", "xpu"):
        module = getattr(torch, device.type)
        arguments = () if device.type == "mps" else (device,)
        state[device.type] = module.get_rng_state(*arguments)
    return state


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore a state returned by ``random_state``."""
    random.setstate(state["python"])
    name, keys, *others = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *others))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if device.type in state:
        module = getattr(torch, device.type)
        arguments = () if device.type == "mps" else (device,)
        module.set_rng_state(state[device.type], *arguments)


@contextmanager
def seeded_generators(seed: int, process: int, device: torch.device) -> Iterator[None]:
    """Seed all generators, differently on each process; restore the caller's state on exit."""
    before = random_state(device)
    sequence = np.random.SeedSequence(seed, spawn_key=(process,))
    set_seed(int(sequence.generate_state(1)[0]))
    try:
        yield
    finally:
        set_random_state(before, device)
