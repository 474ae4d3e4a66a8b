"""Fusions of several vectors of an item: order, missing parts, gradients, what they can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m6rec_lite.language.models.fusion import AttentionFusion, Concatenation, Fusion, Gate

SIZES = {"title": 5, "tags": 3, "items": 4}  # "items": a name that torch's own dicts refuse
KINDS: list[type[Fusion]] = [Concatenation, Gate, AttentionFusion]
N, OUT = 6, 7


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def parts() -> dict[str, torch.Tensor]:
    return {name: randn(N, size, seed=i) for i, (name, size) in enumerate(SIZES.items())}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def fusion(request: pytest.FixtureRequest) -> Fusion:
    torch.manual_seed(0)
    built = request.param(SIZES, OUT).double()
    for weight in built.parameters():  # what starts at 0 must matter too
        nn.init.normal_(weight, std=0.5)
    return built


SOME = torch.tensor([True, False, True, True, False, True])


def test_the_order_of_items_and_of_names_does_not_matter(fusion: Fusion) -> None:
    inputs = parts()
    out = fusion(inputs, {"tags": SOME})
    assert out.shape == (N, OUT)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    shuffled = {name: inputs[name][order] for name in ("items", "title", "tags")}
    torch.testing.assert_close(fusion(shuffled, {"tags": SOME[order]}), out[order])


def test_every_part_reaches_the_result(fusion: Fusion) -> None:
    inputs = parts()
    out = fusion(inputs)
    assert torch.equal(
        fusion(inputs, {name: torch.ones(N, dtype=torch.bool) for name in SIZES}), out
    )
    for name in SIZES:
        changed = inputs | {name: inputs[name] + 1}
        assert ((fusion(changed) - out).abs().amax(dim=1) > 1e-3).all()


@pytest.mark.parametrize("filling", [0.0, 1e9, float("nan"), float("inf")])
def test_what_stands_in_a_missing_part_does_not_matter(fusion: Fusion, filling: float) -> None:
    inputs = parts()
    out = fusion(inputs, {"tags": SOME, "items": ~SOME})
    tags, items = inputs["tags"].clone(), inputs["items"].clone()
    tags[~SOME], items[SOME] = filling, filling
    tags.requires_grad_()
    again = fusion(inputs | {"tags": tags, "items": items}, {"tags": SOME, "items": ~SOME})
    assert torch.equal(again, out)
    again.square().sum().backward()
    assert (tags.grad[~SOME] == 0).all()
    assert (tags.grad[SOME].abs().sum(dim=1) > 0).all()
    for name, weight in fusion.named_parameters():
        assert weight.grad.isfinite().all(), name


def test_missing_is_not_the_same_as_zero(fusion: Fusion) -> None:
    """A part of zeros says something; a missing one says nothing."""
    inputs = parts() | {"tags": torch.zeros(N, 3, dtype=torch.float64)}
    missing = fusion(inputs, {"tags": torch.zeros(N, dtype=torch.bool)})
    assert ((fusion(inputs) - missing).abs().amax(dim=1) > 1e-4).all()


def test_an_item_with_nothing_gets_zeros_and_no_nan(fusion: Fusion) -> None:
    here = SOME.clone()
    out = fusion(parts(), dict.fromkeys(SIZES, here))
    assert (out[~here] == 0).all()
    assert (out[here].abs().sum(dim=1) > 0).all()
    out.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in fusion.parameters())


def test_no_items_at_all(fusion: Fusion) -> None:
    assert fusion({name: part[:0] for name, part in parts().items()}).shape == (0, OUT)


def test_gradients_are_those_of_finite_differences(fusion: Fusion) -> None:
    inputs = {name: part[:2].clone().requires_grad_() for name, part in parts().items()}
    present = {"tags": torch.tensor([True, False])}

    def of(*values: torch.Tensor) -> torch.Tensor:
        return fusion(dict(zip(SIZES, values, strict=True)), present)

    assert torch.autograd.gradcheck(of, tuple(inputs.values()))


def test_every_weight_learns(fusion: Fusion) -> None:
    fusion(parts(), {"title": SOME, "tags": ~SOME, "items": SOME}).square().sum().backward()
    for name, weight in fusion.named_parameters():
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", [Gate, AttentionFusion])
def test_weights_say_what_counts(kind: type[Gate | AttentionFusion]) -> None:
    torch.manual_seed(0)
    fusion = kind(SIZES, OUT).double()
    weights = fusion.weights(parts(), {"tags": SOME})
    assert weights.shape == ((N, 3, OUT) if kind is Gate else (N, 3))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones_like(weights.sum(dim=1)))
    assert (weights[~SOME, 1] == 0).all()
    assert (weights[SOME] > 0).all()
    nothing = fusion.weights(parts(), dict.fromkeys(SIZES, torch.zeros(N, dtype=torch.bool)))
    assert (nothing == 0).all()


def test_a_gate_of_two_is_the_published_unit() -> None:
    """``z * tanh(W x + b) + (1 - z) * tanh(V y + c)`` with a sigmoid z of both."""
    fusion = Gate({"x": 4, "y": 3}, 5).double()
    x, y = randn(N, 4), randn(N, 3, seed=1)
    one, two = fusion.maps
    weight, bias = fusion.gate.weight, fusion.gate.bias
    z = torch.sigmoid(
        torch.cat([x, y], dim=1) @ (weight[:5] - weight[5:]).t() + (bias[:5] - bias[5:])
    )
    expected = z * one(x).tanh() + (1 - z) * two(y).tanh()
    torch.testing.assert_close(fusion({"x": x, "y": y}), expected, rtol=1e-10, atol=1e-12)


def test_concatenation_is_a_linear_map_of_all_parts() -> None:
    fusion = Concatenation(SIZES, OUT).double()
    inputs = parts()
    expected = fusion.map(torch.cat(list(inputs.values()), dim=1))
    torch.testing.assert_close(fusion(inputs), expected)


@pytest.mark.parametrize("kind", [Gate, AttentionFusion])
def test_it_learns_which_part_to_believe(kind: type[Fusion]) -> None:
    """A flag in one part says which of the two others holds the answer."""
    torch.manual_seed(0)
    flag = torch.randint(2, (600,)).float()
    left, right = torch.randn(600, 2), torch.randn(600, 2)
    answer = torch.where(flag[:, None] > 0, left, right).sign()
    inputs = {
        "left": torch.cat([left.sign(), flag[:, None]], dim=1),
        "right": torch.cat([right.sign(), flag[:, None]], dim=1),
    }
    fusion = kind({"left": 3, "right": 3}, 8)
    head = nn.Linear(8, 2)
    optimizer = torch.optim.Adam([*fusion.parameters(), *head.parameters()], lr=0.02)
    train, test = slice(0, 400), slice(400, 600)
    for _ in range(200):
        result = head(fusion({name: part[train] for name, part in inputs.items()}))
        loss = nn.functional.mse_loss(result, answer[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        result = head(fusion({name: part[test] for name, part in inputs.items()})).sign()
    assert (result == answer[test]).float().mean() > 0.95  # one part alone: 0.75


# Bad input.


def test_a_fusion_of_nothing_is_refused() -> None:
    for sizes, out in (({}, 3), ({"title": 0}, 3), ({"title": 2}, 0)):
        with pytest.raises(ValueError, match="at least one part, and sizes of at least 1"):
            Gate(sizes, out)


def test_parts_must_be_those_that_were_named(fusion: Fusion) -> None:
    inputs = parts()
    with pytest.raises(KeyError, match="wanted the parts title, tags, items; got title, tags"):
        fusion({name: inputs[name] for name in ("title", "tags")})
    with pytest.raises(KeyError, match="masks for price"):
        fusion(inputs, {"price": SOME})
    with pytest.raises(KeyError, match="got none"):
        fusion({})


def test_shapes_and_masks_that_do_not_fit_are_refused(fusion: Fusion) -> None:
    inputs = parts()
    with pytest.raises(ValueError, match=r"part 'tags' must be \(6, 3\) .* got \(6, 2\)"):
        fusion(inputs | {"tags": inputs["tags"][:, :2]})
    with pytest.raises(ValueError, match=r"its mask \(6,\), got \(6, 3\) and \(5,\)"):
        fusion(inputs, {"tags": SOME[:5]})
    with pytest.raises(TypeError, match=r"must be bool, got torch\.float32"):
        fusion(inputs, {"tags": SOME.float()})
