"""Gradients of several tasks: do they conflict, and what can be done.

Two tasks that share weights conflict where the cosine of their gradients is negative: a small step
that lowers the loss of one then raises that of the other. ``pcgrad`` removes from each gradient its
component against each other one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def task_gradients(losses: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient of each loss with respect to shared parameters.

    Args:
        losses: K scalars of one graph, which is kept.
        parameters: those that the tasks share; a loss that does not use one has gradient 0 there.

    Returns:
        ``(K, P)``, the parameters' gradients one after the other.
    """
    rows = []
    for loss in losses:
        parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        filled = [
            torch.zeros_like(parameter) if part is None else part
            for part, parameter in zip(parts, parameters, strict=True)
        ]
        rows.append(torch.cat([part.flatten() for part in filled]))
    return torch.stack(rows)


def gradient_cosines(gradients: Tensor) -> Tensor:
    """Return the cosines of all pairs of ``(K, P)`` gradients, ``(K, K)``; 0 for a zero one."""
    unit = F.normalize(gradients, dim=1)
    return unit @ unit.T


def pcgrad(gradients: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Return the sum of the gradients, each without its component against the others.

    For each task i and the other tasks j in random order: if ``gᵢ · gⱼ < 0``, then
    ``gᵢ ← gᵢ - (gᵢ · gⱼ / |gⱼ|²) gⱼ``, where gⱼ is the original gradient. Source: Yu et al.,
    *Gradient surgery for multi-task learning*, 2020, algorithm 1.

    Args:
        gradients: ``(K, P)``.
        generator: of the random order.

    Returns:
        ``(P,)``. Without conflicts it is the plain sum.
    """
    total = torch.zeros_like(gradients[0])
    for i, gradient in enumerate(gradients):
        changed = gradient.clone()
        for j in torch.randperm(len(gradients), generator=generator).tolist():
            other = gradients[j]
            product = torch.dot(changed, other)
            if j != i and product < 0:
                changed -= product / other.square().sum() * other
        total += changed
    return total


@torch.no_grad()
def set_gradient(parameters: Sequence[nn.Parameter], gradient: Tensor) -> None:
    """Set ``.grad`` of the parameters to the parts of a ``(P,)`` gradient.

    Raises:
        ValueError: if the parameters have another number of elements.
    """
    sizes = [parameter.numel() for parameter in parameters]
    if gradient.shape != (sum(sizes),):
        raise ValueError(
            f"the parameters have {sum(sizes)} elements, and the gradient is "
            f"{tuple(gradient.shape)}: pass those of task_gradients"
        )
    for parameter, part in zip(parameters, gradient.split(sizes), strict=True):
        parameter.grad = part.view_as(parameter).clone()
