"""The step of DP-SGD: clip the gradient of each example, sum, add noise.

An example is all that belongs to one person, so that privacy is a person's and not a row's. Source:
Abadi et al., *Deep learning with differential privacy*, 2016, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from m6rec_lite.recommenders.params import check_in_range

#: A loss of parameters by name and one example, a tuple of tensors; returns a scalar.
Loss = Callable[[Mapping[str, Tensor], Any], Tensor]


def clipped_sum(
    loss: Loss, parameters: Mapping[str, Tensor], batch: tuple[Tensor, ...], max_norm: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Sum the gradients of all examples, each scaled down to a norm of at most ``max_norm``.

    Args:
        loss: mean loss of one example.
        parameters: by name.
        batch: tensors whose first dimension runs over B examples, B may be 0.
        max_norm: limit C of the norm of an example's gradient over all parameters together.

    Returns:
        The sum by name of parameter, and the ``(B,)`` norms before clipping.

    Raises:
        ValueError: if ``max_norm`` is not above 0.
    """
    check_in_range("max_norm", max_norm, 0, open_low=True)
    if len(batch[0]) == 0:
        return {name: torch.zeros_like(value) for name, value in parameters.items()}, torch.zeros(0)
    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0))(dict(parameters), batch)
    norms = torch.stack([g.reshape(len(g), -1).norm(dim=1) for g in gradients.values()]).norm(
        dim=0
    )  # (B,)
    factors = (max_norm / norms.clamp_min(1e-12)).clamp(max=1.0)
    sums = {name: torch.einsum("b,b...->...", factors, g) for name, g in gradients.items()}
    return sums, norms


def private_gradient(
    loss: Loss,
    parameters: Mapping[str, Tensor],
    batch: tuple[Tensor, ...],
    *,
    max_norm: float,
    noise_multiplier: float,
    expected_size: float,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Return the noisy mean gradient of DP-SGD.

    Args:
        loss: as of ``clipped_sum``, also the next three.
        parameters: by name.
        batch: examples, each drawn with the same probability.
        max_norm: limit C of the norm of an example's gradient.
        noise_multiplier: standard deviation of the noise as a multiple of C.
        expected_size: expected number of examples, by which the sum is divided. The real number
            would tell whether a person was drawn.
        generator: of the noise.
    """
    sums, _ = clipped_sum(loss, parameters, batch, max_norm)
    scale = noise_multiplier * max_norm
    return {
        name: (value + scale * torch.randn(value.shape, generator=generator)) / expected_size
        for name, value in sums.items()
    }
