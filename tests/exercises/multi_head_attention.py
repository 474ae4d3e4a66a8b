"""Right answers to ``multi_head_attention`` written in other ways, and wrong ones."""

from __future__ import annotations

import numpy as np
import torch

from m6rec_lite.course.exercises.multi_head_attention import RIGHT


def _at_once(q: np.ndarray, k: np.ndarray, v: np.ndarray, n_heads: int) -> np.ndarray:
    """All heads in one product, by reshape and transpose."""
    q, k, v = (x.reshape(len(x), n_heads, -1).transpose(1, 0, 2) for x in (q, k, v))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2])
    weights = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    return (weights @ v).transpose(1, 0, 2).reshape(q.shape[1], -1)


def _by_torch(q: np.ndarray, k: np.ndarray, v: np.ndarray, n_heads: int) -> torch.Tensor:
    parts = (torch.from_numpy(x).unflatten(1, (n_heads, -1)).transpose(0, 1) for x in (q, k, v))
    mixed = torch.nn.functional.scaled_dot_product_attention(*parts)
    return mixed.transpose(0, 1).flatten(1)


CORRECT = (RIGHT, _at_once, _by_torch)

WRONG = ((lambda q, k, v, n_heads: RIGHT(q, k, v, n_heads)[:, ::-1], ""),)

EQUIVALENT = {
    "grown = np.exp(scores)": "a softmax does not change by a constant",
    "grown = np.exp(scores + scores.max(axis=1, keepdims=True))": "likewise; the scores are small",
    "grown = np.exp(scores - scores.max(keepdims=True))": "likewise",
    "grown = np.exp(scores - scores.min(axis=1, keepdims=True))": "likewise",
    "scores = q @ k.T / np.sqrt(v.shape[1])": "values are as wide as keys",
}
