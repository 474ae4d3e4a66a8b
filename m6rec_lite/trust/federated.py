"""Federated learning by hand: local training, averaging, and a toy secure aggregation.

Sources: McMahan et al., *Communication-efficient learning of deep networks from decentralized
data*, 2017, algorithm 1 (FedAvg); Bonawitz et al., *Practical secure aggregation for
privacy-preserving machine learning*, 2017, for masks that cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.recommenders.params import check_in_range, check_whole

MODULUS = 2**32  #: of the numbers that clients send in secure aggregation


def federated_round(
    parameters: Mapping[str, Tensor],
    loss: Callable[[Mapping[str, Tensor], Any], Tensor],
    clients: Sequence[Any],
    sizes: Sequence[float],
    *,
    lr: float,
    steps: int = 1,
) -> dict[str, Tensor]:
    """Train on every client from the same parameters, and average the results by size.

    With one step, this is one gradient step on the rows of all clients together. With more, the
    clients move apart, the more so the more their data differ.

    Args:
        parameters: of the server, by name; not changed.
        loss: function of parameters and a client's data that returns the mean loss.
        clients: what each client holds; handed on to ``loss``.
        sizes: number of rows of each client, its weight in the average.
        lr: learning rate of gradient descent on all data of a client.
        steps: number of its steps.

    Raises:
        ValueError: if ``lr`` is not above 0, ``steps`` below 1, a size is negative or missing, or
            all are 0.
    """
    check_in_range("lr", lr, 0, open_low=True)
    if len(clients) != len(sizes) or min(sizes, default=-1) < 0 or sum(sizes) <= 0:
        raise ValueError(
            f"sizes must be >= 0, one for each of {len(clients)} clients, with a sum above 0; got "
            f"{list(sizes)}"
        )
    mean = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for data, size in zip(clients, sizes, strict=True):
        state = dict(parameters)
        for _ in range(check_whole("steps", steps)):
            gradients = torch.func.grad(loss)(state, data)
            state = {name: value - lr * gradients[name] for name, value in state.items()}
        for name, value in state.items():
            mean[name] = mean[name] + size / sum(sizes) * value.detach()
    return mean


def mask_updates(updates: np.ndarray, *, seed: int = 0, scale: float = 2.0**16) -> np.ndarray:
    """Return what each client sends in a toy secure aggregation: its update plus masks.

    Every pair of clients shares a random mask; one adds it and the other subtracts it, so that the
    masks cancel in the sum (``sum_of_masked``). Numbers are whole and taken modulo ``MODULUS``, so
    that a single masked update is uniformly distributed and says nothing.

    **A toy:** here one seed makes all masks. In the real protocol each pair agrees on a secret by
    key exchange, and the sum survives clients that drop out.

    Args:
        updates: ``(n, d)`` floats, one row for each client.
        seed: seed of all masks.
        scale: multiple by which updates are rounded to whole numbers.

    Returns:
        ``(n, d)`` int64 in [0, ``MODULUS``).

    Raises:
        ValueError: if there are fewer than two clients, or the sum may exceed the modulus.
    """
    updates = np.asarray(updates, dtype=np.float64)
    if updates.ndim != 2 or len(updates) < 2:
        raise ValueError(f"wanted (n, d) updates of 2 clients or more, got {updates.shape}")
    if not np.abs(updates).sum(axis=0).max(initial=0.0) * scale < MODULUS / 2:
        raise ValueError(f"updates are too large for a scale of {scale:g}, or not finite; lower it")
    sent = np.round(updates * scale).astype(np.int64)
    for i in range(len(updates)):
        for j in range(i + 1, len(updates)):
            mask = np.random.default_rng([seed, i, j]).integers(MODULUS, size=updates.shape[1])
            sent[i] = (sent[i] + mask) % MODULUS
            sent[j] = (sent[j] - mask) % MODULUS
    return sent


def sum_of_masked(sent: np.ndarray, *, scale: float = 2.0**16) -> np.ndarray:
    """Return the ``(d,)`` sum of all clients' updates from what they sent.

    If a client's row is missing, its masks do not cancel and the result is random.
    """
    total = np.asarray(sent).sum(axis=0) % MODULUS
    return np.where(total >= MODULUS // 2, total - MODULUS, total) / scale
