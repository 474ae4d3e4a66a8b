"""A run whose loss or gradient is NaN stops, names the step, and keeps the last good weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from m6rec_lite.data import Interactions
from m6rec_lite.nn import DivergenceError
from m6rec_lite.recommenders import SASRec
from m6rec_lite.training import Averaging, Callback, EarlyStopping, RowBatches, fit
from tests.contracts.sequential import SMALL, chain


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)).double()


def batches() -> RowBatches:
    """Five batches an epoch."""
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return RowBatches(x, torch.sin(x).sum(1, keepdim=True), batch_size=8)


def train(
    model: nn.Module,
    steps: int,
    *,
    bad_step: int | None = None,
    bad_loss: bool = False,
    callbacks: tuple[Callback, ...] = (),
    clip_norm: float | None = None,
) -> None:
    """Train; in one step the loss, or only its gradient, is NaN."""
    calls = []

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        calls.append(1)
        value = ((model(batch[0]) - batch[1]) ** 2).mean()
        if len(calls) != bad_step:
            return value
        return value * torch.nan if bad_loss else value + (0 * value).sqrt()  # d sqrt(0): infinite

    fit(
        model,
        batches(),
        loss,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        steps=steps,
        callbacks=callbacks,
        clip_norm=clip_norm,
        device="cpu",
        progress=False,
    )


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize(
    ("make", "steps_kept"),
    [
        (lambda: (), 7),
        (lambda: (Averaging(0.5),), 7),
        (lambda: (EarlyStopping("loss"),), 5),  # the best weights are those after the first epoch
    ],
    ids=["plain", "averaging", "early stopping"],
)
@pytest.mark.parametrize("bad_loss", [True, False], ids=["loss", "gradient"])
def test_the_model_ends_with_the_weights_before_the_bad_step(
    bad_loss: bool,
    make: Callable[[], tuple[Callback, ...]],
    steps_kept: int,
    clip_norm: float | None,
) -> None:
    model, good = net(), net()
    message = r"loss became nan by step 8" if bad_loss else r"gradient of 0.weight.*in step 8.*not"
    with pytest.raises(DivergenceError, match=message):
        train(model, 20, bad_step=8, bad_loss=bad_loss, callbacks=make(), clip_norm=clip_norm)
    train(good, steps_kept, callbacks=make(), clip_norm=clip_norm)
    for ours, expected in zip(model.parameters(), good.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_a_large_gradient_that_is_finite_is_no_error() -> None:
    model = nn.Linear(5, 1)
    with torch.no_grad():
        model.weight.fill_(1e-30)
    x = torch.full((8, 5), 1e15)
    fit(
        model,
        RowBatches(x, batch_size=8),
        lambda model, batch: (model(batch[0]) * 1e10).mean(),  # a norm whose square overflows
        optimizer=torch.optim.SGD(model.parameters(), lr=1e-30),
        steps=2,
        device="cpu",
        progress=False,
    )
    assert torch.isfinite(model.weight).all()


def test_a_recommender_that_diverges_is_not_fitted() -> None:
    train_rows = Interactions.from_frame(chain())
    model = SASRec().set_params(**SMALL | {"lr": 1e30}, device="cpu")
    with pytest.raises(DivergenceError, match=r"by step \d+, in epoch 1\. Try a lower learning"):
        model.fit(train_rows, progress=False)
    assert not model.is_fitted
