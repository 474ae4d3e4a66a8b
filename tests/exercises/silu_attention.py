"""Right answers to ``silu_attention``, written in other ways."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.course.exercises.silu_attention import _answer


def _by_loops(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros_like(v)
    for i in range(len(q)):
        for j in range(i + 1):
            score = q[i] @ k[j] + bias[i, j]
            out[i] += score / (1 + np.exp(-score)) * v[j] / n
    return out


def _by_torch(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    q, k, v, bias = (torch.from_numpy(x) for x in (q, k, v, bias))
    weights = torch.nn.functional.silu(q @ k.T + bias) * torch.ones(len(q), len(k)).tril()
    return (weights / n @ v).numpy()


CORRECT = (_answer, _by_loops, _by_torch)
