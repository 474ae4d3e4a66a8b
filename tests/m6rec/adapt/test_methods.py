"""What every method promises: a start as the pretrained model, few weights, and a way back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from m6rec_lite.language.models.model_folder import ModelError
from m6rec_lite.m6rec import (
    AdaLoRA,
    Adapted,
    Adapters,
    Combined,
    FineTuning,
    LoRA,
    OptionAdapter,
    OptionTuning,
    PrefixTuning,
    PromptTuning,
    TaskSwitch,
    parameter_groups,
)
from m6rec_lite.m6rec.adapt.adapted import fingerprint
from m6rec_lite.m6rec.tasks.task import TaskBatches, collate
from m6rec_lite.training import fit
from tests.m6rec.adapt.tiny import METHODS, examples, make, scoring

#: Methods that start with soft tokens, and so not as the pretrained model.
SOFT = {"prefix", "prompt", "options", "options_and_adapters"}
ROWS = examples()
BATCH = collate(ROWS, torch.arange(len(ROWS)).numpy())


def train(adapted: Adapted, steps: int = 15, lr: float = 3e-2) -> list[float]:
    """Take some steps on all rows, and return the losses."""
    groups = parameter_groups(adapted.model, adapted.task, lr=lr)
    history = fit(
        adapted,
        TaskBatches(ROWS, 10_000),
        Adapted.loss,
        optimizer=torch.optim.AdamW(groups),
        epochs=steps,
        progress=False,
    )
    return [record["loss"] for record in history.records]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_its_weights_alone_and_can_be_taken_out(name: str) -> None:
    model, task = make(), scoring()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        before = BATCH.states(model)
    adapted = Adapted(model, METHODS[name], task)
    with torch.no_grad():
        assert torch.equal(BATCH.states(model), before) == (name not in SOFT)
    losses = train(adapted)
    assert losses[-1] < losses[0] * (0.99 if name == "head" else 0.9)
    with torch.no_grad():
        states = BATCH.states(model)
        assert torch.equal(states, before) == (name == "head")
        adapted.detach()
        assert torch.equal(BATCH.states(model), before)
        assert weights.keys() == model.state_dict().keys()
        assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
        assert torch.equal(BATCH.states(adapted.attach().model), states)


@pytest.mark.parametrize("name", METHODS)
def test_only_the_small_weights_are_saved_and_they_give_the_same_answers(
    name: str, tmp_path: Path
) -> None:
    model = make()
    adapted = Adapted(model, METHODS[name], scoring())
    train(adapted, 3)
    expected = adapted.task.predict(model, ROWS)
    folder = adapted.save(tmp_path / "adapter")
    again = Adapted.load(folder, make())
    assert (again.task.predict(again.model, ROWS) == expected).all()
    assert again.summary() == adapted.summary()
    assert again.method == adapted.method
    size = (folder / "adapter.safetensors").stat().st_size
    assert size < adapted.summary()["bytes"] + 4096  # names and shapes


def test_weights_are_counted() -> None:
    d, r = 16, 2
    n = sum(weight.numel() for weight in make().parameters())
    matrices = 2 * r * ((d + 3 * d) + (d + d) + (d + 4 * d) + (4 * d + d))
    expected = {
        "full": n,
        "head": 0,
        "lora": matrices,
        "adapters": 2 * 2 * (2 * 4 * d + 4 + d),
        "option_adapter": 2 * (2 * 4 * d + 4 + d + 1),
        "prompt": 4 * d,
        "prefix": 2 * 2 * 4 * d,
        "options": 4 * d + 11 * d,
        "bitfit": 2 * (3 * d + d + 4 * d + d + 2 * d) + d,
    }
    for name, trained in expected.items():
        summary = Adapted(make(), METHODS[name], scoring()).summary()
        head = 0 if name == "options" else 2 * d + 2
        assert summary == {
            "trained": trained,
            "share": trained / n,
            "head": head,
            "bytes": 8 * (trained + head),
        }


def test_the_top_layers_are_those_nearest_to_the_answer() -> None:
    adapted = Adapted(make(), FineTuning("top", layers=1))
    names = {name.split(".")[1] + "." + name.split(".")[2] for name in adapted.trained()}
    assert names == {"blocks.1", "norm.weight", "norm.bias"}


def test_groups_have_their_own_rates_and_no_decay_for_biases() -> None:
    adapted = Adapted(make(), Adapters(4), scoring())
    groups = parameter_groups(adapted.model, adapted.task, lr=1e-4, head_lr=1e-3)
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [
        (1e-4, 0.01),
        (1e-4, 0.0),
        (1e-3, 0.01),
        (1e-3, 0.0),
    ]
    members = [p for group in groups for p in group["params"]]
    assert {id(p) for p in members} == {id(p) for p in adapted.trained().values()}


def test_one_backbone_serves_several_tasks() -> None:
    model = make()
    switch = TaskSwitch(model)
    answers = {}
    for name in ("lora", "bitfit", "options", "option_adapter"):
        adapted = Adapted(model, METHODS[name], scoring())
        train(adapted, 2)
        answers[name] = adapted.task.predict(model, ROWS)
        switch.add(name, adapted)
    base = fingerprint(make())
    for name in ("options", "lora", "option_adapter", "bitfit", "lora"):
        adapted = switch.use(name)
        assert (adapted.task.predict(model, ROWS) == answers[name]).all()
    switch.use(None)
    assert fingerprint(model) == base
    with pytest.raises(ValueError, match="new name"):
        switch.add("lora", Adapted(make(), LoRA(2)))


def test_two_methods_are_not_attached_by_accident() -> None:
    adapted = Adapted(make(), LoRA(2))
    with pytest.raises(ValueError, match="has 'lora' attached"):
        Adapted(adapted.model, PromptTuning(4))
    adapted.detach()
    other = Adapted(adapted.model, PromptTuning(4))
    with pytest.raises(ValueError, match="has 'prompt' attached"):
        adapted.attach()
    with pytest.raises(ValueError, match="same part"):
        Adapted(other.detach().model, Combined([PromptTuning(4), OptionTuning(4)]), scoring())
    Adapted(other.model, LoRA(2))  # a failure leaves the model free


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    adapted = Adapted(make(), LoRA(2), scoring())
    adapted.save(tmp_path)
    with pytest.raises(ModelError, match=r"trained on the model \w{12} .* was given \w{12}"):
        Adapted.load(tmp_path, make(seed=1))
    with pytest.raises(ModelError, match=r"head.bias is \(2,\) in the file and \(3,\)"):
        Adapted.load(tmp_path, (model := make()), scoring(classes=3))
    Adapted.load(tmp_path, model, scoring())
    with pytest.raises(ValueError, match="call attach"):
        adapted.detach().save(tmp_path)
    (tmp_path / "adapter.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="copy the folder again"):
        Adapted.load(tmp_path, make())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LoRA(0), "at least 1, got 0"),
        (lambda: Adapted(make(), LoRA(17)), "at most 16, the smaller side"),
        (lambda: LoRA(2, targets=["query"]), r"some of qkv, out.* got \['query'\]"),
        (lambda: AdaLoRA(2, 3), "target_rank must be at least 1 and at most 2"),
        (lambda: Adapters(0), "width must be at least 1"),
        (lambda: Adapted(make(), OptionAdapter(17)), "width .* at most 16"),
        (lambda: OptionAdapter(sigma="tanh"), "sigma must be one of"),
        (lambda: PromptTuning(0), "length must be at least 1, got 0"),
        (lambda: Adapted(make(), PromptTuning(32)), "below the model's context of 32"),
        (lambda: Adapted(make(), PrefixTuning(40)), "below the model's context of 32"),
        (lambda: OptionTuning(4, classes=5), "at most length=4"),
        (lambda: Adapted(make(), OptionTuning(4)), "got no task"),
        (lambda: Adapted(make(), OptionTuning(4), scoring(3)), "'scoring' with classes=3"),
        (lambda: Adapted(make(), FineTuning("top", 3)), "has 2 layers"),
        (lambda: FineTuning("bottom"), "train must be one of"),
        (lambda: Combined([LoRA(2)]), "two methods or more"),
        (lambda: parameter_groups(Adapted(make(), FineTuning("head")).model, None, lr=1e-3),
         "no parameter is trained"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@torch.no_grad()
def test_an_adapter_adds_weights_and_operations() -> None:
    """ "An adapter without added parameters" is a contradiction: it has its own, and runs them."""
    plain, adapted = make(), Adapted(make(), Adapters(4)).model
    assert sum(p.numel() for p in adapted.parameters()) > sum(p.numel() for p in plain.parameters())
    with pytest.raises(ValueError, match="cannot be merged"):
        Adapted(make(), Adapters(4)).merged_model()


@torch.no_grad()
def test_an_option_adapter_is_further_hidden_units_of_the_feed_forward_network() -> None:
    adapted = Adapted(make(), OptionAdapter(4, sigma="gelu", scale=0.5))
    block, z = adapted.model.blocks[0], torch.randn(3, 16, dtype=torch.float64)
    branch = block.branch
    for weight in (branch.up.weight, branch.up.bias, branch.down.bias):
        torch.nn.init.normal_(weight)
    up = torch.cat([block.up_proj.weight, branch.down.weight])
    up_bias = torch.cat([block.up_proj.bias, branch.down.bias])
    down = torch.cat([block.down_proj.weight, 0.5 * branch.up.weight], dim=1)
    hidden = torch.nn.functional.gelu(z @ up.T + up_bias)
    wider = hidden @ down.T + block.down_proj.bias + 0.5 * branch.up.bias
    torch.testing.assert_close(block.ffn(z), wider)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for recompute in (False, True):
        adapted = Adapted(make(), METHODS["lora_and_option_adapter"], scoring()).train()
        if recompute:
            adapted.model.gradient_checkpointing_enable()
        adapted.loss(BATCH).backward()
        gradients.append([p.grad for p in adapted.trained().values()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    adapted = Adapted(make(), PrefixTuning(4), scoring()).train()
    adapted.model.gradient_checkpointing_enable()
    with pytest.raises(ValueError, match="gradient_checkpointing_disable"):
        adapted.loss(BATCH)
