"""Gradients of several tasks: their cosines, and PCGrad against its properties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from m6rec_lite.nn import gradient_cosines, pcgrad, set_gradient, task_gradients


def test_gradients_of_tasks_are_those_of_autograd() -> None:
    shared, own = nn.Linear(3, 2), nn.Linear(2, 1)
    hidden = shared(torch.randn(4, 3))
    losses = [hidden.square().mean(), own(hidden).mean()]
    parameters = [*shared.parameters(), *own.parameters()]
    gradients = task_gradients(losses, parameters)
    assert gradients.shape == (2, 3 * 2 + 2 + 2 + 1)
    assert not gradients[0, -3:].any()  # the first loss does not use the second map
    sum(losses).backward()
    flat = torch.cat([p.grad.flatten() for p in parameters])
    torch.testing.assert_close(gradients.sum(0), flat)
    set_gradient(parameters, 2 * flat)
    torch.testing.assert_close(torch.cat([p.grad.flatten() for p in parameters]), 2 * flat)
    with pytest.raises(ValueError, match="11 elements"):
        set_gradient(parameters, flat[1:])


def test_cosines() -> None:
    gradients = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0], [0.0, 0.0]])
    expected = torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, 0], [-1, 0, 1, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(gradient_cosines(gradients), expected)


def test_two_conflicting_gradients_by_hand() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    # a - (a·b / b·b) b = (1, 0) + 1/2 (-1, 1); b - (b·a / a·a) a = (-1, 1) + (1, 0)
    expected = torch.tensor([0.5, 0.5]) + torch.tensor([0.0, 1.0])
    torch.testing.assert_close(pcgrad(torch.stack([a, b])), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_pcgrad_leaves_agreement_alone_and_harms_no_task_of_two(size: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    agreeing = torch.rand(3, size, generator=draw)
    torch.testing.assert_close(pcgrad(agreeing), agreeing.sum(0))
    pair = torch.randn(2, size, generator=draw, dtype=torch.float64)
    total = pcgrad(pair)
    if torch.dot(pair[0], pair[1]) < 0:
        assert (pair @ total >= -1e-9).all()


def test_the_order_comes_from_the_generator() -> None:
    gradients = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    results = [pcgrad(gradients, generator=torch.Generator().manual_seed(s)) for s in range(6)]
    assert torch.equal(results[0], pcgrad(gradients, generator=torch.Generator().manual_seed(0)))
    assert not all(torch.equal(results[0], other) for other in results)
