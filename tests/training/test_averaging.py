"""The average of a run's weights: what it is, who sees it, and that training does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m6rec_lite.recommenders import SASRec
from m6rec_lite.training import Averaging, Callback, Checkpoints, EarlyStopping, RowBatches, fit


class Watch(Callback):
    """The weights after each step, and those in the model while it is judged."""

    def __init__(self):
        self.steps, self.judged_with = [], []

    def step(self, run):
        self.steps.append(run.model.weight.detach().clone())

    def epoch(self, run, record):
        self.judged_with.append(run.model.weight.detach().clone())


def train(callbacks, *, epochs=6, values=None, **options):
    torch.manual_seed(0)
    model = nn.Linear(3, 1, bias=False).double()
    start = model.weight.detach().clone()
    x = torch.arange(24.0, dtype=torch.float64).reshape(8, 3) / 10
    seen, result = [], iter(values or [0.0] * 99)

    def validate(model):
        seen.append(model.weight.detach().clone())
        return {"found": next(result)}

    fit(
        model,
        RowBatches(x, x.sum(1, keepdim=True), batch_size=2),
        lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean(),
        optimizer=torch.optim.Adam(model.parameters(), lr=0.1),
        validate=validate,
        callbacks=callbacks,
        epochs=epochs,
        progress=False,
        **options,
    )
    return model, start, seen


def by_hand(start: torch.Tensor, weights: list[torch.Tensor], decay: float) -> list[torch.Tensor]:
    averages, average = [], start
    for t, weight in enumerate(weights, 1):
        d = min(decay, (1 + t) / (10 + t))
        average = d * average + (1 - d) * weight
        averages.append(average)
    return averages


@pytest.mark.parametrize("decay", [0.05, 0.5, 0.9])
def test_the_average_is_that_of_the_formula_and_is_what_is_judged_and_kept(decay: float) -> None:
    watch = Watch()
    model, start, seen = train([Averaging(decay), watch])
    averages = by_hand(start, watch.steps, decay)
    for epoch in range(6):  # four steps each
        torch.testing.assert_close(seen[epoch], averages[4 * epoch + 3])
        torch.testing.assert_close(watch.judged_with[epoch], averages[4 * epoch + 3])
    torch.testing.assert_close(model.weight.detach(), averages[-1])


def test_training_goes_on_as_if_not_averaged() -> None:
    alone, beside = Watch(), Watch()
    train([alone])
    train([Averaging(0.9), beside])
    for one, other in zip(alone.steps, beside.steps, strict=True):
        assert torch.equal(one, other)


def test_early_stopping_keeps_the_best_average() -> None:
    watch = Watch()
    values = [0.1, 0.3, 0.9, 0.2, 0.1, 0.1]
    stop = EarlyStopping("found", mode="max", patience=9)
    model, start, _ = train([Averaging(0.5), watch, stop], values=values)
    assert stop.best_epoch == 3
    torch.testing.assert_close(model.weight.detach(), by_hand(start, watch.steps, 0.5)[11])


def test_a_run_cut_off_goes_on_with_the_same_average(tmp_path) -> None:
    whole, _, _ = train([Averaging(0.9)])

    class Cut(Callback):
        def step(self, run):
            if run.step == 10:
                raise KeyboardInterrupt

    rhythm = Checkpoints(tmp_path, steps=1)
    with pytest.raises(KeyboardInterrupt):
        train([Averaging(0.9), Cut()], checkpoint=rhythm)
    again, _, _ = train([Averaging(0.9)], checkpoint=Checkpoints(tmp_path, steps=1))
    assert torch.equal(again.weight, whole.weight)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, 2.0])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        Averaging(decay)
    if decay:
        with pytest.raises(ValueError, match="above 0 and below 1"):
            SASRec(averaging=decay)


class Tied(nn.Module):
    """One weight under two names, and bounds that are no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.again = self.weight
        bounds = torch.tensor([1.0, float("inf"), float("nan")])
        self.register_buffer("bounds", bounds)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.again


def test_bounds_stay_as_they_are_and_a_shared_weight_is_averaged_under_both_names():
    model, steps = Tied(), []

    class Weights(Callback):
        def step(self, run):
            steps.append(run.model.weight.detach().clone())

    x = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
    fit(
        model,
        RowBatches(x, batch_size=2),
        lambda model, batch: (model(batch[0]) ** 2).mean(),
        optimizer=torch.optim.SGD(model.parameters(), lr=1e-3),
        callbacks=[Weights(), Averaging(0.5)],
        epochs=2,
        progress=False,
    )
    average = torch.ones(3, dtype=torch.float64)
    for t, weight in enumerate(steps, 1):
        d = min(0.5, (1 + t) / (10 + t))
        average = d * average + (1 - d) * weight
    torch.testing.assert_close(model.weight.detach(), average)
    assert model.again is model.weight
    wanted = torch.tensor([1.0, float("inf"), float("nan")])
    torch.testing.assert_close(model.bounds, wanted, equal_nan=True)
