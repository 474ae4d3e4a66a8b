"""The losses of adapting: formulas, missing labels, and the mistakes that articles repeat."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.m6rec import MultiTaskHead, adaptation_loss, multi_task_loss, regression_loss


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 100))
def test_the_loss_is_its_formula(n: int, k: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=draw, dtype=torch.float64)
    y = torch.randint(0, 2, (n, k), generator=draw).double()
    p = 1 / (1 + (-logits).exp())
    total = 0.0
    for i in range(n):
        for j in range(k):
            total += float(y[i, j] * p[i, j].log() + (1 - y[i, j]) * (1 - p[i, j]).log())
    assert math.isclose(float(multi_task_loss(logits, y)), -total / n, rel_tol=1e-9)
    assert math.isclose(float(multi_task_loss(logits, y, reduction="sum")), -total, rel_tol=1e-9)


def test_a_missing_label_counts_nothing() -> None:
    logits = torch.tensor([[1.0, 5.0], [2.0, -1.0]], requires_grad=True)
    labels = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    loss = multi_task_loss(logits, labels)
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(2)) + math.log1p(math.exp(1))) / 2
    assert math.isclose(float(loss), expected, rel_tol=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0
    assert not logits.grad.isnan().any()


def test_a_label_of_two_has_no_minimum_and_is_refused() -> None:
    losses = []
    for logit in (1.0, 10.0, 100.0):
        log_p = -math.log1p(math.exp(-logit))
        log_not_p = log_p - logit
        losses.append(-(2 * log_p + (1 - 2) * log_not_p))  # the formula, for y = 2
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < -99
    with pytest.raises(ValueError, match="without bound"):
        multi_task_loss(torch.zeros(2, 1), torch.tensor([[1.0], [2.0]]))
    with pytest.raises(ValueError, match=r"wanted logits and labels \(N, K\)"):
        multi_task_loss(torch.zeros(2), torch.zeros(2))


def test_a_sum_changes_what_alpha_means_with_the_size_of_a_batch() -> None:
    logits, y, other = torch.zeros(8, 2), torch.ones(8, 2), torch.tensor(1.0)
    shares = {}
    for reduction in ("mean", "sum"):
        for n in (2, 8):
            part = multi_task_loss(logits[:n], y[:n], reduction=reduction)
            total, _ = adaptation_loss(part, other * 0, other, alpha=0.5, beta=1.0)
            shares[reduction, n] = float(0.5 * part / total)
    assert math.isclose(shares["mean", 2], shares["mean", 8])
    assert shares["sum", 8] > shares["sum", 2] + 0.2


def test_each_part_is_logged_and_a_loss_is_not_negated_twice() -> None:
    parts = [torch.tensor(x, requires_grad=True) for x in (3.0, 2.0, 1.0)]
    total, logs = adaptation_loss(*parts, alpha=0.5, beta=0.25)
    assert float(total) == 0.5 * 3 + 0.25 * 2 + 1
    assert {name: float(part) for name, part in logs.items()} == {
        "multi_task": 3.0,
        "adapt": 2.0,
        "finetune": 1.0,
    }
    with pytest.raises(ValueError, match="negated twice"):
        adaptation_loss(-parts[0], parts[1], parts[2], alpha=0.5, beta=0.25)
    with pytest.raises(ValueError, match="alpha and beta"):
        adaptation_loss(*parts, alpha=-1.0, beta=0.0)


def test_one_state_gives_labels_and_numbers() -> None:
    head, states = MultiTaskHead(5, 3, 2), torch.randn(4, 5)
    logits, numbers = head(states)
    assert logits.shape == (4, 3)
    assert numbers.shape == (4, 2)
    target = torch.randn(4, 2)
    expected = ((numbers - target) ** 2).sum(1).mean()
    torch.testing.assert_close(regression_loss(numbers, target), expected)
    with pytest.raises(ValueError, match="two arrays"):
        regression_loss(numbers, target[:, :1])
