"""The worst change within a ball, and the contrastive loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.m6rec import in_batch_softmax
from m6rec_lite.trust import contrastive_loss, worst_perturbation

VECTORS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))


def loss(vectors: torch.Tensor) -> torch.Tensor:
    return torch.logsumexp((vectors * WEIGHTS).sum(dim=1), dim=0)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 0.2), st.integers(0, 50))
def test_no_random_change_of_the_same_length_is_worse(radius: float, seed: int) -> None:
    worst = worst_perturbation(loss, VECTORS, radius)
    torch.testing.assert_close(worst.norm(dim=1), torch.full((5,), radius))
    noise = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    other = radius * torch.nn.functional.normalize(noise, dim=1)
    assert loss(VECTORS + worst) >= loss(VECTORS + other) - 1e-5


def test_a_vector_that_does_not_matter_stays() -> None:
    worst = worst_perturbation(lambda v: v[0].sum(), VECTORS, 0.5)
    assert not worst[1:].any()
    assert worst.requires_grad is False


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ValueError, match="radius must be >= 0"):
        worst_perturbation(loss, VECTORS, -0.1)


def test_the_contrastive_loss_is_cross_entropy_over_the_other_views() -> None:
    first, second = VECTORS, WEIGHTS
    cosines = torch.nn.functional.cosine_similarity(first[:, None], second[None], dim=-1)
    expected = torch.nn.functional.cross_entropy(cosines / 0.3, torch.arange(5))
    loss = contrastive_loss(first, second, tau=0.3)
    torch.testing.assert_close(loss, expected)
    unit = [torch.nn.functional.normalize(each, dim=1) for each in (first, second)]
    torch.testing.assert_close(loss, in_batch_softmax(*unit, torch.arange(5), tau=0.3))
    same = torch.ones(4, 2)
    assert float(contrastive_loss(same, same)) == pytest.approx(math.log(4), rel=1e-5)
    with pytest.raises(ValueError, match="tau must be > 0"):
        contrastive_loss(first, second, tau=0.0)
