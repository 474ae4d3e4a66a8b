"""Sampled softmax of a network: close to the full softmax, and without tokens times items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from m6rec_lite.data import Interactions
from m6rec_lite.recommenders import GRU4Rec, SASRec
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch

SMALL = {"hidden_size": 8, "n_layers": 1, "max_length": 10, "dropout": 0.0, "device": "cpu"}


def rows(n_items: int, n_users: int = 40) -> Interactions:
    """Users with six items each, of which the first ones are popular."""
    rng = np.random.default_rng(0)
    items = [(n_items * rng.permutation(n_items)[:6] ** 2) // n_items**2 for _ in range(n_users)]
    frame = pd.DataFrame(
        [(user, int(item), t) for user, row in enumerate(items) for t, item in enumerate(row)],
        columns=["user_id", "item_id", "timestamp"],
    )
    return Interactions.from_frame(frame, item_ids=np.arange(n_items))


def first_batch(model: NextItemRecommender, train: Interactions, seed: int = 0) -> Batch:
    return model._batches(train.histories()).epoch(seed, 0)[0]


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
@pytest.mark.parametrize(("shared", "draws"), [(True, 20_000), (False, 2_000)])
def test_many_more_draws_than_items_give_the_loss_and_gradient_of_full_softmax(
    power: float, shared: bool, draws: int
) -> None:
    """Draws are with replacement, so there may be more of them than items."""
    train = rows(30)
    full = SASRec(loss="ce", mask_history=False, epochs=1, **SMALL).fit(train, progress=False)
    settings: dict[str, Any] = {"popularity_power": power, "shared_negatives": shared}
    sampled = SASRec(loss="sampled", negatives=draws, **settings, **SMALL)
    sampled.popularity_ = full.popularity_
    network = full._network
    scores_that_differ = torch.Generator().manual_seed(3)
    torch.nn.init.normal_(network.items.weight, std=0.7, generator=scores_that_differ)
    results = []
    for model in (full, sampled):
        network.zero_grad()
        loss = model._loss(network, first_batch(model, train))
        loss.backward()
        results.append((loss.item(), network.items.weight.grad.clone()))
    (expected, gradient), (got, estimate) = results
    assert got == pytest.approx(expected, rel=0.01)
    assert (estimate - gradient).norm() < 0.05 * gradient.norm()


def test_few_draws_are_right_on_average_and_uncorrected_popular_ones_are_not() -> None:
    """The estimated sum over the other items is unbiased for each distribution of negatives."""
    train = rows(30)
    full = SASRec(loss="ce", mask_history=False, epochs=1, **SMALL).fit(train, progress=False)
    batch = first_batch(full, train)
    with torch.no_grad():
        expected = full._loss(full._network, batch).item()
        for power in (0.0, 1.0):
            model = SASRec(loss="sampled", negatives=10, popularity_power=power, **SMALL)
            model.popularity_ = full.popularity_
            losses = [
                model._loss(full._network, first_batch(model, train, seed)).item()
                for seed in range(200)
            ]
            assert np.mean(losses) == pytest.approx(expected, rel=0.05)
    # Without the correction the loss is that of a catalogue of ten items and the target.
    uncorrected = first_batch(model, train) | {"log_expected": torch.zeros(10)}
    assert model._loss(full._network, uncorrected).item() < expected - 0.5


class Sizes(TorchDispatchMode):
    """Record the number of elements of the largest tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.largest = max(self.largest, leaf.numel())
        return result


def largest_tensor(model: NextItemRecommender, train: Interactions) -> int:
    """Take one step of forward, backward and AdamW; return the elements of its largest tensor."""
    model.popularity_ = np.bincount(train.items, minlength=train.n_items)
    network = model._build(train.n_items)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    batch = first_batch(model, train)
    with Sizes() as sizes:
        model._loss(network, batch).backward()
        optimizer.step()
    return sizes.largest


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
def test_a_step_on_200_000_items_holds_no_scores_of_all_items(kind: type) -> None:
    n_items, hidden = 200_000, 4
    for n_users in (20, 80):  # 100 and 400 tokens
        model = kind(loss="sampled", negatives=500, hidden_size=hidden, max_length=10, device="cpu")
        # the item table and its gradient, whatever the number of tokens
        assert largest_tensor(model, rows(n_items, n_users)) == n_items * hidden


def test_a_step_of_full_softmax_holds_the_scores_of_one_chunk() -> None:
    n_items = 5_000
    for n_users, tokens in ((40, 200), (160, 256)):  # the second batch has 640 tokens
        model = SASRec(loss="ce", hidden_size=4, max_length=10, device="cpu")
        assert largest_tensor(model, rows(n_items, n_users)) == n_items * tokens


def test_the_scores_of_negatives_are_tokens_times_negatives() -> None:
    train = rows(1000)
    model = SASRec(loss="sampled", negatives=700, hidden_size=4, max_length=10, device="cpu")
    assert largest_tensor(model, train) == 40 * 5 * (700 + 1)


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
def test_settings_out_of_range_are_refused(kind: type) -> None:
    with pytest.raises(ValueError, match=r"negatives must be at least 1, got 0"):
        kind(loss="sampled", negatives=0)
    with pytest.raises(ValueError, match=r"negatives must be a whole number"):
        kind(loss="sampled", negatives=2.5)
    with pytest.raises(ValueError, match=r"popularity_power must be >= 0"):
        kind(loss="sampled", popularity_power=-0.5)
    with pytest.raises(ValueError, match=r"loss must be one of ce, sampled"):
        kind(loss="softmax")
