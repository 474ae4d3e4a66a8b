"""Federated averaging and secure aggregation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.trust import federated_round, mask_updates, sum_of_masked


def loss(parameters, data):
    x, y = data
    return ((x @ parameters["w"] - y) ** 2).mean()


def rows(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator), torch.randn(n, generator=generator)


def step_on(start: torch.Tensor, data: tuple[torch.Tensor, torch.Tensor], steps: int = 1):
    """Gradient descent on all rows, by torch's optimizer."""
    w = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([w], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss({"w": w}, data).backward()
        optimizer.step()
    return w.detach()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_one_local_step_is_one_step_on_all_rows(sizes: list[int]) -> None:
    clients = [rows(n, seed) for seed, n in enumerate(sizes)]
    start = torch.tensor([1.0, -1.0, 0.5])
    together = tuple(torch.cat(parts) for parts in zip(*clients, strict=True))
    federated = federated_round({"w": start}, loss, clients, sizes, lr=0.1)
    torch.testing.assert_close(federated["w"], step_on(start, together))
    assert start.tolist() == [1.0, -1.0, 0.5]


def test_several_local_steps_are_averaged_and_differ_from_central_ones() -> None:
    clients, start = [rows(4, 0), rows(8, 1)], torch.zeros(3)
    together = tuple(torch.cat(parts) for parts in zip(*clients, strict=True))
    federated = federated_round({"w": start}, loss, clients, [4, 8], lr=0.1, steps=5)
    own = [step_on(start, data, 5) for data in clients]
    torch.testing.assert_close(federated["w"], (own[0] + 2 * own[1]) / 3)
    assert not torch.allclose(federated["w"], step_on(start, together, 5), atol=1e-3)


@pytest.mark.parametrize("sizes", [[1.0], [0.0, 0.0], [2.0, -1.0], []])
def test_sizes_without_a_mean_are_refused(sizes: list[float]) -> None:
    with pytest.raises(ValueError, match="sizes must be"):
        federated_round({"w": torch.zeros(3)}, loss, [rows(1, 0)] * 2, sizes, lr=0.1)


def test_bad_settings_are_refused() -> None:
    one = {"w": torch.zeros(3)}
    with pytest.raises(ValueError, match="lr must be > 0"):
        federated_round(one, loss, [rows(2, 0)], [2], lr=0)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        federated_round(one, loss, [rows(2, 0)], [2], lr=0.1, steps=0)


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 9))
def test_masks_cancel_in_the_sum(n: int, d: int, seed: int) -> None:
    updates = np.random.default_rng(seed).normal(size=(n, d))
    sent = mask_updates(updates, seed=seed)
    np.testing.assert_allclose(sum_of_masked(sent), updates.sum(axis=0), atol=n * 2.0**-16)


def test_what_a_client_sends_looks_random_and_a_missing_client_spoils_the_sum() -> None:
    updates = np.zeros((3, 4000))
    sent = mask_updates(updates)
    assert sent.min() >= 0
    assert sent.max() < 2**32
    assert (sent[0] / 2**32).mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(sum_of_masked(sent[:2])).mean() > 1000


@pytest.mark.parametrize(
    "updates", [np.zeros(3), np.zeros((1, 3)), np.full((2, 2), 1e6), np.full((2, 2), np.nan)]
)
def test_updates_that_cannot_be_masked_are_refused(updates: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"2 clients or more|too large"):
        mask_updates(updates)
