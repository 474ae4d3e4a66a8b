"""From a state for each token to one vector a text, by the mask.

Rows of a batch are filled up to the longest; what stands in the filling means nothing, and no
pooling may let it in. A plain ``states.mean(dim=1)`` does: short texts are drawn towards whatever
the model says of filling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mean_pooling(states: Tensor, mask: Tensor) -> Tensor:
    """The mean state of each row's real tokens.

    Args:
        states: ``(n, time, hidden_size)``; what stands behind the mask may be anything, NaN too.
        mask: ``(n, time)`` bool, True for a token, False for filling.

    Returns:
        ``(n, hidden_size)``; 0 for a row without tokens.
    """
    total = states.masked_fill(~mask[:, :, None], 0.0).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


def last_pooling(states: Tensor, mask: Tensor) -> Tensor:
    """The state of each row's last token, which in a causal model has read all of it.

    Args:
        states: as of ``mean_pooling``.
        mask: as of ``mean_pooling``.

    Returns:
        ``(n, hidden_size)``; 0 for a row without tokens.
    """
    place = torch.arange(mask.shape[1], device=mask.device)
    last = place.where(mask, -1).amax(dim=1)
    found = states[torch.arange(len(states), device=states.device), last]
    return found.masked_fill((last < 0)[:, None], 0.0)


class AttentionPooling(nn.Module):
    """A weighted mean of states, whose weights are learnt: what matters weighs more.

    ``u = tanh(W h + b)``, ``a = softmax(u . q)``, ``sum a h``. It starts near the plain mean.
    Source: Yang et al., *Hierarchical attention networks*, 2016, equations 5 to 7.

    Args:
        hidden_size: of the states.
        inside: of u; None is ``hidden_size``.
    """

    def __init__(self, hidden_size: int, inside: int | None = None) -> None:
        super().__init__()
        self.proj = nn.Linear(hidden_size, inside or hidden_size)
        self.query = nn.Linear(inside or hidden_size, 1, bias=False)
        nn.init.normal_(self.query.weight, std=0.02)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Arguments and result as of ``mean_pooling``."""
        states = states.masked_fill(~mask[:, :, None], 0.0)
        return torch.einsum("nt,ntd->nd", self.weights(states, mask), states)

    def weights(self, states: Tensor, mask: Tensor) -> Tensor:
        """``(n, time)``; a row's weights add up to 1, or to 0 where there is no token."""
        scores = self.query(torch.tanh(self.proj(states)))[:, :, 0]
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=1).masked_fill(~mask, 0.0)
