"""The loop: what a step is, what it refuses, and that a seed decides everything."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from m6rec_lite.nn import DivergenceError, cosine, warm_up
from m6rec_lite.training import (
    Callback,
    Checkpoints,
    Epoch,
    OutOfMemoryError,
    RowBatches,
    fit,
    load_weights,
    rng,
)
from m6rec_lite.training.batches import fingerprint
from m6rec_lite.training.devices import make_accelerator


def rows(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return x, torch.sin(x).sum(1, keepdim=True)


def net(seed: int = 0, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Linear(5, 7), nn.Tanh(), nn.Dropout(dropout), nn.Linear(7, 1)
    return nn.Sequential(*layers).double()


def squared(model, batch):
    x, y = batch
    return ((model(x) - y) ** 2).mean()


def train(model, batches, loss=squared, *, lr=0.05, rule=torch.optim.SGD, **settings_):
    settings_ = {"progress": False, **settings_}
    return fit(model, batches, loss, optimizer=rule(model.parameters(), lr=lr), **settings_)


def close(one: nn.Module, other: nn.Module, tolerance: float = 1e-12) -> None:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def by_hand(model, plans, *, lr=0.05, rule=torch.optim.SGD, clip_norm=None, shares=None):
    """The plainest loop that torch allows, over batches of batches."""
    optimizer = rule(model.parameters(), lr=lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, shares) if shares else None
    for step in plans:
        optimizer.zero_grad()
        x, y = (torch.cat(part) for part in zip(*step, strict=True))
        squared(model, (x, y)).backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        if scheduler:
            scheduler.step()
    return model


def plans(batches, epochs, per_step, seed=0):
    for epoch in range(epochs):
        plan = list(batches.epoch(seed, epoch))
        for start in range(0, len(plan), per_step):
            yield plan[start : start + per_step]


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 4))
def test_accumulation_equals_the_large_batch(n, batch_size, accumulate):
    """With batches weighed by their rows, whatever is left over at an epoch's end."""
    batches = RowBatches(*rows(n), batch_size=batch_size)
    ours, reference = net(), by_hand(net(), plans(batches, 2, accumulate), rule=torch.optim.Adam)
    train(
        ours,
        batches,
        rule=torch.optim.Adam,
        epochs=2,
        accumulate=accumulate,
        weigh=lambda batch: len(batch[0]),
    )
    close(ours, reference, 1e-9)


def test_batches_that_are_not_weighed_count_alike():
    batches = RowBatches(*rows(5), batch_size=4, shuffle=False)
    ours, reference = net(), net()
    train(ours, batches, steps=1, accumulate=2)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.05)
    first, second = batches.epoch(0, 0)
    ((squared(reference, first) + squared(reference, second)) / 2).backward()
    optimizer.step()
    close(ours, reference)


@pytest.mark.parametrize("clip_norm", [0.01, 0.5, 100.0])
def test_clipping_equals_torch(clip_norm):
    batches = RowBatches(*rows(40), batch_size=8)
    ours, reference = net(), by_hand(net(), plans(batches, 2, 1), clip_norm=clip_norm)
    train(ours, batches, epochs=2, clip_norm=clip_norm)
    close(ours, reference)


@pytest.mark.parametrize("shares", [warm_up(6), warm_up(4, then=cosine(9)), cosine(15, 0.1)])
def test_schedules_equal_torchs_own_scheduler(shares):
    batches = RowBatches(*rows(40), batch_size=8)
    reference = by_hand(net(), plans(batches, 3, 1), rule=torch.optim.Adam, shares=shares)
    ours = net()
    history = train(ours, batches, rule=torch.optim.Adam, epochs=3, schedule=shares)
    close(ours, reference)
    assert history["lr"] == pytest.approx([0.05 * shares(t) for t in (4, 9, 14)])


def test_each_group_of_parameters_keeps_its_own_rate():
    model = net()
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[3].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    seen = []

    class Look(Callback):
        def step(self, run):
            seen.append([group["lr"] for group in run.optimizer.param_groups])

    batches = RowBatches(*rows(8), batch_size=8)
    fit(
        model,
        batches,
        squared,
        optimizer=optimizer,
        epochs=2,
        schedule=lambda t: 1 / (t + 1),
        callbacks=[Look()],
        progress=False,
    )
    assert seen == [[0.1, 0.01], [0.05, 0.005]]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01], "given back"


def test_the_seed_decides_order_and_dropout_and_nothing_else_does():
    batches = RowBatches(*rows(40), batch_size=8)
    result = []
    for seed, disturbance in [(1, 0), (1, 99), (2, 0)]:
        model = net(dropout=0.4)
        torch.manual_seed(disturbance)
        np.random.seed(disturbance)  # noqa: NPY002
        train(model, batches, epochs=2, seed=seed)
        result.append(model)
    assert equal(result[0], result[1])
    assert not equal(result[0], result[2])


def test_training_leaves_the_callers_randomness_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    model = net(dropout=0.4)
    torch.manual_seed(5)
    train(model, RowBatches(*rows(8), batch_size=4), epochs=1)
    assert torch.equal(torch.rand(3), wanted)


def test_the_history_holds_weighted_means_logs_and_validation():
    batches = RowBatches(*rows(5), batch_size=4, shuffle=False)
    model = net()
    sizes = []

    def loss(model, batch):
        sizes.append(len(batch[0]))
        return squared(model, batch), {"rows": len(batch[0]), "twice": 2 * torch.tensor(3.0)}

    def validate(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        return {"ndcg@10": np.float32(0.25)}

    before = copy.deepcopy(model)
    history = train(
        model,
        batches,
        loss,
        epochs=1,
        lr=0.0,
        validate=validate,
        weigh=lambda batch: len(batch[0]),
    )
    (record,) = history.records
    assert record["loss"] == pytest.approx(squared(before, rows(5)).item())
    assert record["rows"] == pytest.approx((4 * 4 + 1) / 5)
    assert (record["twice"], record["ndcg@10"]) == (6.0, 0.25)
    assert (record["epoch"], record["step"], sizes) == (1, 2, [4, 1])
    assert history.frame().shape == (1, len(record))
    assert history.stopped is None
    assert not model.training


def test_a_run_of_so_many_steps_ends_within_an_epoch_and_judges_what_there_is():
    batches = RowBatches(*rows(40), batch_size=8)  # 5 a epoch
    history = train(net(), batches, steps=7, validate=lambda model: {"found": 1.0})
    assert [(r["epoch"], r["step"], r["found"]) for r in history.records] == [(1, 5, 1), (2, 7, 1)]


def test_the_loss_is_given_the_model_itself_and_trains_what_it_uses_outside_forward():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(6, 3)

        def forward(self, items):
            return self.embedding(items)

    torch.manual_seed(0)
    model = Tied()
    items = torch.arange(6)

    def loss(network, batch):
        assert network is model
        scores = network(batch[0]) @ network.embedding.weight.T  # outside forward
        return nn.functional.cross_entropy(scores, batch[0])

    reference = copy.deepcopy(model)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(
            reference(items) @ reference.embedding.weight.T, items
        ).backward()
        optimizer.step()
    train(model, RowBatches(items, batch_size=6, shuffle=False), loss, lr=0.1, epochs=20)
    close(model, reference, 1e-6)


# ---- precision and device


def test_mixed_precision_rounds_and_leaves_weights_and_model_as_they_were():
    x, y = (part.float() for part in rows(64))
    exact, mixed = net().float(), net().float()
    seen = []

    def loss(model, batch):
        out = model(batch[0])
        seen.append(out.dtype)
        return ((out.float() - batch[1]) ** 2).mean()

    batches = RowBatches(x, y, batch_size=16)
    train(exact, batches, loss, epochs=5, precision="fp32")
    train(mixed, batches, loss, epochs=5, precision="bf16")
    assert seen[:1] == [torch.float32]
    assert seen[-1:] == [torch.bfloat16]
    assert not equal(exact, mixed)
    close(exact, mixed, 0.05)
    assert {weights.dtype for weights in mixed.parameters()} == {torch.float32}
    assert mixed(x).dtype == torch.float32, "outside the run nothing is rounded"
    train(exact, batches, loss, epochs=1, precision="fp32")
    assert seen[-1] == torch.float32, "the next run chooses anew"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"precision": "half"}, "precision must be 'auto', 'fp32', 'bf16', 'fp16', got 'half'"),
        ({"precision": "fp16", "device": "cpu"}, "needs a GPU; on a CPU pass 'fp32'"),
    ],
)
def test_a_precision_that_cannot_be_is_reported(setting, message):
    with pytest.raises(ValueError, match=message):
        make_accelerator(**setting)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_reported():
    with pytest.raises(ValueError, match="device='cuda:1' was asked for, and this machine has"):
        make_accelerator("cuda:1")
    assert make_accelerator("cpu").device == torch.device("cpu")
    assert make_accelerator().device == torch.device("cpu")


# ---- runs that cannot go on


def test_a_nan_loss_stops_before_it_spoils_the_weights_and_says_what_to_change(tmp_path):
    model = net()
    calls = []

    def loss(model, batch):
        calls.append(1)
        value = squared(model, batch)
        return value * float("nan") if len(calls) == 8 else value

    with pytest.raises(DivergenceError) as error:
        train(
            model,
            RowBatches(*rows(40), batch_size=8),
            loss,
            epochs=3,
            checkpoint=tmp_path / "run",
        )
    message = str(error.value)
    for words in ("became nan by step 8, in epoch 2", "try 0.005", "clip_norm=1.0", "warm_up"):
        assert words in message
    assert "No checkpoint was written" in message
    assert all(torch.isfinite(weights).all() for weights in model.parameters())


def test_nan_in_the_data_is_reported_as_such():
    x, y = rows(40)
    x[17, 2] = float("nan")
    with pytest.raises(DivergenceError, match=r"batch itself holds NaN or infinite.*the data"):
        train(net(), RowBatches(x, y, batch_size=8), epochs=3)


def test_a_gradient_of_nan_is_not_saved_and_what_was_saved_stays(tmp_path):
    model, calls = net(), []

    def loss(model, batch):
        calls.append(1)
        value = squared(model, batch)
        return value + (0 * value).sqrt() if len(calls) == 4 else value  # d sqrt(0) is infinite

    saves = Checkpoints(tmp_path / "run", steps=1)
    with pytest.raises(DivergenceError, match=r"0.weight holds NaN.*step 4.*step-00000003 is wh"):
        train(model, RowBatches(*rows(40), batch_size=8), loss, epochs=3, checkpoint=saves)
    fresh = net(seed=9)
    load_weights(tmp_path / "run", fresh)
    assert all(torch.isfinite(weights).all() for weights in fresh.parameters())


def torch_on_a_cpu():
    torch.empty(2**58)  # what torch really says where there is so little memory


def numpy_on_a_cpu():
    np.empty(2**58)


def torch_on_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("exhaust", [torch_on_a_cpu, numpy_on_a_cpu, torch_on_a_gpu])
def test_out_of_memory_says_what_to_change_and_what_is_safe(exhaust, tmp_path):
    calls = []

    def loss(model, batch):
        calls.append(1)
        if len(calls) == 9:
            exhaust()
        return squared(model, batch)

    batches = RowBatches(*rows(40), batch_size=8)  # 3 steps an epoch, of 2, 2 and 1 batches
    saves = Checkpoints(tmp_path / "run", steps=2)
    with pytest.raises(OutOfMemoryError) as error:
        train(net(), batches, loss, epochs=3, accumulate=2, checkpoint=saves)
    message = str(error.value)
    for words in (
        "Halve the batch size",
        "accumulate=4 (now 2)",
        "step-00000004 is whole",
        "in step 5",
    ):
        assert words in message
    assert error.value.__cause__ is not None


def test_other_errors_of_torch_pass_through():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train(
            net(), RowBatches(torch.ones(4, 3).double(), torch.ones(4, 1), batch_size=2), epochs=1
        )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({}, "pass epochs or steps, one of them"),
        ({"epochs": 1, "steps": 1}, "pass epochs or steps, one of them"),
        ({"epochs": 0}, "at least 1; got 0"),
        ({"steps": -3}, "at least 1; got -3"),
        ({"epochs": 1, "accumulate": 0}, "at least 1; got 1 and 0"),
        ({"epochs": 1, "clip_norm": 0.0}, "clip_norm must be above 0"),
        ({"epochs": 1, "weigh": lambda batch: 0}, "must be above 0 and finite, got 0"),
        ({"epochs": 1, "validate": lambda model: {"loss": 1.0}}, "validate returned loss"),
    ],
)
def test_settings_out_of_range_are_reported(setting, message):
    with pytest.raises(ValueError, match=message):
        train(net(), RowBatches(*rows(8), batch_size=4), **setting)


def test_a_loss_that_is_no_number_is_reported():
    batches = RowBatches(*rows(8), batch_size=4)
    with pytest.raises(TypeError, match=r"a tensor of one number, such as a mean; got \(4, 1\)"):
        train(net(), batches, lambda model, batch: model(batch[0]), epochs=1)
    with pytest.raises(TypeError, match="got float"):
        train(net(), batches, lambda model, batch: 1.0, epochs=1)

    def moody(model, batch, names=iter("ab")):  # noqa: B008
        return squared(model, batch), {next(names): 1.0}

    with pytest.raises(ValueError, match=r"before and \['b'\] now"):
        train(net(), batches, moody, epochs=2)


def test_an_epoch_without_batches_is_reported():
    class Nothing:
        def epoch(self, seed, epoch):
            return []

    with pytest.raises(ValueError, match="epoch 1 has no batches"):
        train(net(), Nothing(), epochs=1)


# ---- batches


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_serves_every_row_once_in_an_order_of_its_own(n, size, seed, epoch):
    batches = RowBatches(torch.arange(n), batch_size=size)
    plan = batches.epoch(seed, epoch)
    served = torch.cat([rows for (rows,) in plan])
    assert sorted(served.tolist()) == list(range(n))
    assert [len(rows) for (rows,) in plan][:-1] == [size] * (len(plan) - 1)


def test_rows_and_sizes_that_cannot_be_are_reported():
    with pytest.raises(ValueError, match=r"same number of rows, at least 1; got rows \[3, 4\]"):
        RowBatches(torch.ones(3), torch.ones(4), batch_size=2)
    with pytest.raises(ValueError, match=r"got rows \[0\]"):
        RowBatches(torch.ones(0), batch_size=2)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        RowBatches(torch.ones(3), batch_size=0)
    with pytest.raises(IndexError, match="batch 2 of 2"):
        Epoch(2, lambda i: i)[2]


def test_generators_of_batches_differ_by_every_position():
    drawn = {
        rng(*position).integers(2**60)
        for position in [(0, 0), (0, 1), (1, 0), (0, 0, 1), (0, 1, 0)]
    }
    assert len(drawn) == 5
    assert rng(3, 4, 5).random() == rng(3, 4, 5).random()


def test_a_batchs_fingerprint_is_of_its_numbers_wherever_they_are():
    batch = {"x": torch.arange(3), "y": [np.ones(2), (1, "a")]}
    assert fingerprint(batch) == fingerprint(copy.deepcopy(batch))
    for other in (
        {"x": torch.arange(3), "y": [np.ones(2), (1, "b")]},
        {"x": torch.tensor([0, 2, 1]), "y": [np.ones(2), (1, "a")]},
        {"x": torch.arange(3).int(), "y": [np.ones(2), (1, "a")]},
    ):
        assert fingerprint(batch) != fingerprint(other)
