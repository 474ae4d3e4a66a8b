"""Gradual magnitude pruning: the schedule, the masks, and what the optimizer may not undo."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from m6rec_lite.m6rec import GradualPruning, count_nonzero, cubic_sparsity
from m6rec_lite.training import Callback, RowBatches, fit


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0, 0.99))
def test_the_schedule_grows_from_0_to_the_target(start, length, target):
    shares = [cubic_sparsity(t, start, start + length, target) for t in range(start + length + 3)]
    assert shares[: start + 1] == [0] * (start + 1)
    assert shares[-3:] == pytest.approx([target] * 3)
    assert all(a <= b + 1e-12 for a, b in pairwise(shares))


def test_the_schedule_is_cubic():
    assert cubic_sparsity(50, 0, 100, 0.8) == pytest.approx(0.8 * (1 - 0.5**3))
    assert cubic_sparsity(25, 0, 100, 0.8) == pytest.approx(0.8 * (1 - 0.75**3))


def train(pruning: GradualPruning, *more: Callback, steps: int = 60) -> nn.Module:
    torch.manual_seed(0)
    x = torch.randn(512, 40)
    y = x @ torch.randn(40, 3)
    model = nn.Sequential(nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 3))
    fit(
        model, RowBatches(x, y, batch_size=32),
        lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1]),
        optimizer=torch.optim.AdamW(model.parameters(), 1e-2), steps=steps,
        callbacks=[pruning, *more], device="cpu", progress=False,
    )  # fmt: skip
    return model


class Watch(Callback):
    def __init__(self) -> None:
        self.zeros: list[torch.Tensor] = []
        self.moments: list[float] = []

    def step(self, run) -> None:
        weight = run.model[0].weight
        self.zeros.append(weight.detach() == 0)
        average = run.optimizer.state[weight]["exp_avg"]
        self.moments.append(float(average[self.zeros[-1]].abs().sum()))


def test_the_target_is_reached_and_a_weight_never_returns():
    watch = Watch()
    model = train(GradualPruning(0.8, every=3), watch)
    assert float((model[0].weight == 0).float().mean()) == pytest.approx(0.8, abs=1e-3)
    assert not (model[2].weight == 0).any()  # below the smallest size that is pruned
    assert count_nonzero(model) == pytest.approx(0.2 * 2400 + 180 + 63, abs=3)
    shares = [float(zeros.float().mean()) for zeros in watch.zeros]
    assert shares[:6] == [0] * 6
    assert shares == sorted(shares)
    for before, after in pairwise(watch.zeros):
        assert (after | ~before).all()
    assert max(watch.moments) == 0


def test_the_smallest_weights_go_first():
    pruning = GradualPruning(0.5, start=0.0, end=1.0, every=1)
    model = nn.Sequential(nn.Linear(40, 60))
    size = model[0].weight.abs().flatten()
    pruning.masks = {"0.weight": torch.ones(60, 40, dtype=torch.bool)}
    pruning._extend(model, 0.25)
    kept = pruning.masks["0.weight"].flatten()
    assert int((~kept).sum()) == 600
    assert size[~kept].max() <= size[kept].min()


def test_a_resumed_run_keeps_its_masks():
    pruning = GradualPruning(0.8, every=3)
    train(pruning)
    again = GradualPruning(0.8, every=3)
    again.load(pruning.state())
    assert again.settings() == pruning.settings()
    assert (again.masks["0.weight"] == pruning.masks["0.weight"]).all()


def test_bad_settings_are_refused():
    for target in (1.0, 1.2, -0.1):
        with pytest.raises(ValueError, match=r"target must be at least 0 and below 1"):
            GradualPruning(target)
    with pytest.raises(ValueError, match="shares of the run"):
        GradualPruning(0.5, start=0.7, end=0.3)
    with pytest.raises(ValueError, match="at least 1 step"):
        GradualPruning(0.5, every=0)
