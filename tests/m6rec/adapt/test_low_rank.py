"""LoRA and AdaLoRA: the formula, exact merging, the allocation of ranks, and equality with peft."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from m6rec_lite.m6rec import AdaLoRA, Adapted, LoRA, RankAllocator
from m6rec_lite.m6rec.adapt.adalora import SVDLinear, orthogonality, svd_maps
from m6rec_lite.m6rec.adapt.lora import LoRALinear, LowRank
from tests.m6rec.adapt.tiny import make, row

IDS = torch.stack([row(i, 3, 5) for i in range(4)])
PREFIX = torch.full((4,), 5)


def spread(adapted: Adapted) -> Adapted:
    """Draw every trained weight anew, so that the low-rank matrices are not 0."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        for weight in adapted.trained().values():
            weight.normal_(std=0.3)
    return adapted


def loss_of(model: Any) -> Tensor:
    return model(IDS, labels=IDS, prefix_length=PREFIX, use_cache=False).loss


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 6), st.floats(0.1, 8))
def test_lora_is_its_formula(rank: int, n_in: int, n_out: int, alpha: float) -> None:
    base = nn.Linear(n_in, n_out).double()
    if rank > min(n_in, n_out):
        with pytest.raises(ValueError, match="smaller side"):
            LoRALinear(base, rank, alpha)
        return
    lora, x = LoRALinear(base, rank, alpha), torch.randn(3, n_in, dtype=torch.float64)
    assert torch.equal(lora(x), base(x))  # B is 0
    nn.init.normal_(lora.b)
    weight = base.weight + alpha / rank * lora.b @ lora.a
    torch.testing.assert_close(lora(x), x @ weight.T + base.bias)
    assert torch.linalg.matrix_rank(lora.delta()) <= rank


@pytest.mark.parametrize("method", [LoRA(2), AdaLoRA(3, 2)])
def test_merging_is_exact_and_so_is_undoing_it(method: LoRA | AdaLoRA) -> None:
    adapted = spread(Adapted(make(), method)).eval()
    model = adapted.model
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        apart = model(IDS).logits
        merged = adapted.merge().model(IDS).logits
        torch.testing.assert_close(merged, apart)
        changed = "blocks.0.up_proj.base.weight"
        assert not torch.equal(model.state_dict()[changed], weights[changed])
        adapted.merge()  # a second call adds nothing
        assert torch.equal(model(IDS).logits, merged)
        adapted.unmerge()
        assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
        plain = adapted.merged_model()
        assert plain.state_dict().keys() == make().state_dict().keys()
        torch.testing.assert_close(plain(IDS).logits, apart)
        assert torch.equal(model(IDS).logits, apart)  # the adapted model is as it was
        adapted.merge().detach()
        assert torch.equal(model(IDS).logits, make()(IDS).logits)


def test_lora_equals_peft() -> None:
    peft = pytest.importorskip("peft")
    adapted = spread(Adapted(make(), LoRA(2, alpha=3.0))).train()
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=2,
        lora_alpha=3,
        target_modules=["qkv", "out", "up_proj", "down_proj"],
    )
    theirs = peft.get_peft_model(make(), config).double().train()
    modules = dict(theirs.base_model.model.named_modules())
    pairs = []
    for name, module in adapted.model.named_modules():
        if isinstance(module, LoRALinear):
            other = modules[name]
            pairs += [(module.a, other.lora_A["default"].weight)]
            pairs += [(module.b, other.lora_B["default"].weight)]
    assert sum(a.numel() for a, _ in pairs) == theirs.get_nb_trainable_parameters()[0]
    with torch.no_grad():
        for ours, other in pairs:
            other.copy_(ours)
    loss, expected = loss_of(adapted.model), loss_of(theirs)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for ours, other in pairs:
        torch.testing.assert_close(ours.grad, other.grad)


# AdaLoRA


def adalora_of_peft(peft: Any, steps: int, **schedule: int) -> Any:
    config = peft.AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=4,
        target_r=2,
        lora_alpha=8,
        total_step=steps,
        orth_reg_weight=0.5,
        target_modules=["qkv", "out", "up_proj", "down_proj"],
        **schedule,
    )
    return peft.get_peft_model(make(), config).double().train()


def pairs_of(ours: nn.Module, theirs: Any) -> list[tuple[nn.Parameter, nn.Parameter]]:
    modules = dict(theirs.base_model.model.named_modules())
    pairs = []
    for name, module in ours.named_modules():
        if isinstance(module, SVDLinear):
            other = modules[name]
            pairs += [(module.q, other.lora_A["default"]), (module.p, other.lora_B["default"])]
            pairs += [(module.e, other.lora_E["default"])]
    return pairs


def test_adalora_trains_and_allocates_as_peft_does() -> None:
    peft = pytest.importorskip("peft")
    steps, method = 12, AdaLoRA(4, 2, alpha=8.0)
    adapted = spread(Adapted(make(), method)).train()
    theirs = adalora_of_peft(peft, steps, tinit=2, tfinal=3, deltaT=2)
    pairs = pairs_of(adapted.model, theirs)
    with torch.no_grad():
        for ours, other in pairs:
            other.copy_(ours.view_as(other))
    mine = torch.optim.SGD([ours for ours, _ in pairs], lr=0.05)
    other = torch.optim.SGD([other for _, other in pairs], lr=0.05)
    allocator = RankAllocator(adapted.model, 2, steps, warm_up=2, settle=3, every=2)
    allocator.follow(mine)
    for step in range(steps):
        loss = loss_of(adapted.model) + method.penalty(adapted.model)
        expected = loss_of(theirs)  # with its penalty
        torch.testing.assert_close(loss.float(), expected, rtol=1e-4, atol=1e-5)
        loss.backward()
        expected.backward()
        mine.step()
        other.step()
        theirs.base_model.update_and_allocate(step)
        mine.zero_grad()
        other.zero_grad()
        for ours, weight in pairs:
            torch.testing.assert_close(ours, weight.view_as(ours), rtol=1e-3, atol=1e-4)
            assert torch.equal(ours == 0, weight.view_as(ours) == 0), step
    ranks = [int((m.e != 0).sum()) for m in svd_maps(adapted.model)]
    assert sum(ranks) == 2 * len(ranks)
    assert len(set(ranks)) > 1  # some matrices keep more terms than others


def test_the_budget_falls_as_a_cube() -> None:
    allocator = RankAllocator(Adapted(make(), AdaLoRA(4, 2)).model, 2, 100, warm_up=10, settle=10)
    n = 4 * len(allocator.maps)
    assert [allocator.budget(step) for step in (0, 10, 50, 90, 99)] == [
        n,
        n,
        int(n / 2 * 0.125 + n / 2),
        n // 2,
        n // 2,
    ]
    with pytest.raises(ValueError, match="must leave some"):
        RankAllocator(make(), 2, 100, warm_up=50, settle=50)


def test_orthogonality_is_0_for_orthonormal_vectors() -> None:
    maps = [SVDLinear(nn.Linear(6, 5).double(), 3, 1.0) for _ in range(2)]
    assert orthogonality(maps) > 1
    for m in maps:
        nn.init.orthogonal_(m.q)
        nn.init.orthogonal_(m.p)
    assert orthogonality(maps) < 1e-12
    maps[0].q.data[0] *= 2  # one entry of one of four products is off by 3
    torch.testing.assert_close(float(orthogonality(maps)), 3 / 4)


def test_low_rank_maps_are_found_in_a_model() -> None:
    model = Adapted(make(), LoRA(1, targets=("qkv", "down_proj"))).model
    names = [name for name, module in model.named_modules() if isinstance(module, LowRank)]
    parts = ("attention.qkv", "down_proj")
    assert names == [f"blocks.{i}.{part}" for i in (0, 1) for part in parts]
