"""Attribution by gradients and by attention: how much each input vector adds to a score.

All functions return one number for each of ``t`` input vectors, such as embeddings of events.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from m6rec_lite.recommenders.params import check_whole

Score = Callable[[Tensor], Tensor]


def gradient_times_input(score: Score, x: Tensor) -> Tensor:
    """Return the gradient of the score times the input, summed over each vector.

    It is the change of the score if a vector is set to zero, to first order.

    The score maps ``(n, t, d)`` to ``(n,)``, and ``x`` is ``(t, d)``.
    """
    point = x.detach().clone()[None].requires_grad_(True)
    gradient = torch.autograd.grad(score(point).sum(), point)[0]
    return (gradient[0] * x).sum(dim=-1).detach()


def integrated_gradients(
    score: Score, x: Tensor, baseline: Tensor | None = None, *, steps: int = 32
) -> Tensor:
    """Return integrated gradients: gradients averaged on the line from a baseline to the input.

    The attribution of a vector is ``(x - baseline) * mean gradient``, summed over the vector; the
    mean is over ``steps`` midpoints of a line. With many steps the attributions sum to
    ``score(x) - score(baseline)`` (completeness).

    Source: Sundararajan, Taly and Yan, *Axiomatic attribution for deep networks*, 2017.

    Args:
        score: maps ``(n, t, d)`` to ``(n,)``.
        x: ``(t, d)``, the input to explain.
        baseline: ``(t, d)``, an input that contains nothing; zeros by default.
        steps: number of points, at least 1.

    Raises:
        ValueError: if the baseline has another shape than the input.
    """
    steps, x = check_whole("steps", steps), x.detach()
    start = torch.zeros_like(x) if baseline is None else baseline.detach()
    if start.shape != x.shape:
        raise ValueError(
            f"the baseline has shape {tuple(start.shape)} and the input {tuple(x.shape)}; give a "
            "baseline of the input's shape, or None for zeros"
        )
    share = (torch.arange(steps, dtype=x.dtype, device=x.device) + 0.5) / steps
    points = (start + share[:, None, None] * (x - start)).requires_grad_(True)  # (steps, t, d)
    gradients = torch.autograd.grad(score(points).sum(), points)[0]
    return ((x - start) * gradients.mean(dim=0)).sum(dim=-1).detach()


def attention_rollout(maps: np.ndarray) -> np.ndarray:
    """Return how much the last state attends to each input, through all layers.

    Each layer is the mean over its heads, averaged with the identity, which stands for the residual
    connection; the layers are multiplied. The result is the same for every item that is explained.

    Source: Abnar and Zuidema, *Quantifying attention flow in transformers*, 2020.

    Args:
        maps: ``(n_layers, n_heads, t, t)`` attention weights; rows sum to 1, as does the result.
    """
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim != 4 or maps.shape[2] != maps.shape[3]:
        raise ValueError(f"attention maps have shape (layers, heads, t, t), not {maps.shape}")
    flow = np.eye(maps.shape[2])
    for layer in maps.mean(axis=1):
        flow = (layer + np.eye(len(layer))) / 2 @ flow
    return flow[-1]
