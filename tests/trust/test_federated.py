"""Federated averaging and secure aggregation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.trust import (
    federated_average,
    federated_round,
    mask_updates,
    sum_of_masked,
    train_locally,
)


def loss(parameters, data):
    x, y = data
    return ((x @ parameters["w"] - y) ** 2).mean()


def rows(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator), torch.randn(n, generator=generator)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_one_local_step_is_one_step_on_all_rows(sizes: list[int]) -> None:
    clients = [rows(n, seed) for seed, n in enumerate(sizes)]
    start = {"w": torch.tensor([1.0, -1.0, 0.5])}
    together = tuple(torch.cat(parts) for parts in zip(*clients, strict=True))
    central = train_locally(start, loss, together, lr=0.1)
    federated = federated_round(start, loss, clients, sizes, lr=0.1)
    torch.testing.assert_close(federated["w"], central["w"])
    assert start["w"].tolist() == [1.0, -1.0, 0.5]


def test_several_local_steps_differ_from_as_many_central_ones() -> None:
    clients = [rows(4, 0), rows(4, 1)]
    start = {"w": torch.zeros(3)}
    together = tuple(torch.cat(parts) for parts in zip(*clients, strict=True))
    central = train_locally(start, loss, together, lr=0.1, steps=5)
    federated = federated_round(start, loss, clients, [4, 4], lr=0.1, steps=5)
    assert not torch.allclose(federated["w"], central["w"], atol=1e-3)


def test_clients_count_by_their_weights() -> None:
    states = [{"w": torch.tensor([0.0])}, {"w": torch.tensor([4.0])}]
    assert federated_average(states, [1, 3])["w"].item() == 3.0


@pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [2.0, -1.0]])
def test_weights_without_a_mean_are_refused(weights: list[float]) -> None:
    states = [{"w": torch.zeros(1)}] * 2
    with pytest.raises(ValueError, match="weights"):
        federated_average(states, weights)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="lr must be > 0"):
        train_locally({"w": torch.zeros(3)}, loss, rows(2, 0), lr=0)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        train_locally({"w": torch.zeros(3)}, loss, rows(2, 0), lr=0.1, steps=0)


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
