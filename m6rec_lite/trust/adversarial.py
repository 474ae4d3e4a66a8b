"""Training against small changes: the worst step in an epsilon-ball, and contrastive views.

Sources: Miyato, Dai and Goodfellow, *Adversarial training methods for semi-supervised text
classification*, 2017; He et al., *Adversarial personalized ranking*, 2018; Xie et al., *Contrastive
learning for sequential recommendation*, 2022.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from m6rec_lite.recommenders.params import check_in_range


def worst_perturbation(loss: Callable[[Tensor], Tensor], vectors: Tensor, radius: float) -> Tensor:
    """Return the change of each vector, of length ``radius``, that raises the loss most.

    To first order it points along the gradient g: ``radius * g / |g|``, and 0 where g is 0.

    Args:
        loss: function of vectors of the same shape that returns a scalar.
        vectors: ``(n, d)``.
        radius: of the ball around each vector, 0 or more.

    Raises:
        ValueError: if the radius is negative.
    """
    check_in_range("radius", radius, 0)
    gradient = torch.func.grad(loss)(vectors.detach()).detach()
    return radius * F.normalize(gradient, dim=-1, eps=1e-12)


def contrastive_loss(first: Tensor, second: Tensor, *, tau: float = 0.2) -> Tensor:
    """Return the cross-entropy of finding each user's second view among those of all users.

    It equals ``m6rec.in_batch_softmax`` of the views, and can be differentiated by ``torch.func``.

    Args:
        first: ``(n, d)`` vectors of the users.
        second: ``(n, d)`` vectors of the same users, from other parts of their histories.
        tau: temperature above 0, by which cosines are divided.
    """
    check_in_range("tau", tau, 0, open_low=True)
    cosines = F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T
    return F.cross_entropy(cosines / tau, torch.arange(len(first)))
