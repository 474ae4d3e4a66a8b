"""Pooling: from one hidden state per token to one vector per text.

Rows of a batch are padded to the longest, and states at padding are undefined, so pooling must use
the mask. A plain ``states.mean(dim=1)`` mixes the states at padding into short texts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mean_pooling(states: Tensor, mask: Tensor) -> Tensor:
    """Average the states of each row's tokens.

    Args:
        states: ``(n, time, hidden_size)``; values at padding are ignored, even NaN.
        mask: ``(n, time)`` bool, True for tokens, False for padding.

    Returns:
        ``(n, hidden_size)``; 0 for a row without tokens.
    """
    total = states.masked_fill(~mask[:, :, None], 0.0).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


def last_pooling(states: Tensor, mask: Tensor) -> Tensor:
    """Return the state of each row's last token, which in a causal model depends on all tokens.

    Args:
        states: see ``mean_pooling``.
        mask: see ``mean_pooling``.

    Returns:
        ``(n, hidden_size)``; 0 for a row without tokens.
    """
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = positions.where(mask, -1).amax(dim=1)
    pooled = states[torch.arange(len(states), device=states.device), last]
    return pooled.masked_fill((last < 0)[:, None], 0.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Compute the softmax over dimension 1 where ``mask`` is True; 0 elsewhere."""
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=1).masked_fill(~mask, 0.0)


class AttentionPooling(nn.Module):
    """Weighted mean of states with trained attention weights.

    ``u = tanh(W h + b)``, ``a = softmax(u . q)``, ``sum a h``. Initially it is close to the mean.
    Source: Yang et al., *Hierarchical attention networks*, 2016, equations 5 to 7.

    Args:
        hidden_size: size of the states.
        inside: size of u; None is ``hidden_size``.
    """

    def __init__(self, hidden_size: int, inside: int | None = None) -> None:
        super().__init__()
        self.proj = nn.Linear(hidden_size, inside or hidden_size)
        self.query = nn.Linear(inside or hidden_size, 1, bias=False)
        nn.init.normal_(self.query.weight, std=0.02)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pool states; arguments and result as in ``mean_pooling``."""
        states = states.masked_fill(~mask[:, :, None], 0.0)
        return torch.einsum("nt,ntd->nd", self.weights(states, mask), states)

    def weights(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the weights, ``(n, time)``; each row sums to 1, or to 0 without tokens."""
        return masked_softmax(self.query(torch.tanh(self.proj(states)))[:, :, 0], mask)
