"""Top-k selection and cosine similarity of items."""

from __future__ import annotations

import numpy as np


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the indices of the ``k`` highest scores of each row, best first, ties by index.

    A partition finds the k-th highest score in linear time; only k entries per row are sorted.

    Args:
        scores: ``(n, n_items)``, without NaN.
        k: number of indices; at most ``n_items``.

    Returns:
        ``(n, min(k, n_items))`` int64.
    """
    n, n_items = scores.shape
    k = min(k, n_items)
    threshold = np.partition(scores, n_items - k, axis=1)[:, n_items - k, None]  # (n, 1)
    above, tied = scores > threshold, scores == threshold
    n_tied = k - above.sum(axis=1, keepdims=True)  # number of entries to take at the threshold
    selected = above | (tied & (np.cumsum(tied, axis=1) <= n_tied))
    indices = np.nonzero(selected)[1].reshape(n, k)
    best_first = np.argsort(-np.take_along_axis(scores, indices, axis=1), axis=1, kind="stable")
    return np.take_along_axis(indices, best_first, axis=1)


def cosine_to(vectors: np.ndarray, index: int) -> np.ndarray:
    """Return the ``(n,)`` cosine similarity of each of ``(n, d)`` vectors to vector ``index``."""
    norms = np.linalg.norm(vectors, axis=1)
    return (vectors @ vectors[index]) / np.maximum(norms * norms[index], 1e-30)
