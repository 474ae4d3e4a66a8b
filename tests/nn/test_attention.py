"""Attention, its masks, packing and dropout: against torch's own, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from m6rec_lite.nn.attention import (
    AttentionContext,
    MultiHeadAttention,
    fused_attention,
    scaled_dot_product_attention,
)
from m6rec_lite.nn.dropout import Dropout, dropout
from m6rec_lite.nn.masks import causal_mask, padding_mask, prefix_mask
from m6rec_lite.nn.packing import Packing

CAUSAL = AttentionContext(causal=True)


def randn(*shape: int, seed: int = 0, grad: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad)


def gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a random weighted sum of what came out."""
    return torch.autograd.grad((out * randn(*out.shape, seed=99)).sum(), inputs)


def same(ours: tuple[Tensor, ...], reference: tuple[Tensor, ...], atol: float = 1e-10) -> None:
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=atol)


def test_attention_on_numbers_that_fit_on_paper() -> None:
    q = torch.tensor([[0.0, math.sqrt(2) * math.log(3)]])  # scores 0 and ln 3: weights 1/4, 3/4
    k = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    v = torch.tensor([[8.0, 0.0], [0.0, 4.0]])
    out, weights = scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(weights, torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(out, torch.tensor([[2.0, 3.0]]))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 2, st.integers(1, 7), st.integers(1, 7)),
    d=st.integers(1, 6),
    causal=st.booleans(),
    masked=st.booleans(),
    biased=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_fused_one_equals_the_clear_one(
    shape: tuple[int, ...], d: int, causal: bool, masked: bool, biased: bool, seed: int
) -> None:
    batch, heads, queries, keys = shape
    queries = min(queries, keys)
    q = randn(batch, heads, queries, d, seed=seed, grad=True)
    k = randn(batch, heads, keys, d, seed=seed + 1, grad=True)
    v = randn(batch, heads, keys, d + 1, seed=seed + 2, grad=True)
    bias = randn(batch, heads, queries, keys, seed=seed + 3, grad=True) if biased else None
    mask = None
    if masked:  # some queries may see nothing at all
        mask = randn(batch, 1, queries, keys, seed=seed + 4) > 0
    seen = causal_mask(queries, past=keys - queries) if causal else torch.ones(1, 1).bool()
    clear, _ = scaled_dot_product_attention(
        q, k, v, seen if mask is None else mask & seen, bias=bias
    )
    fused = fused_attention(q, k, v, mask, bias=bias, causal=causal)
    same((fused,), (clear,))
    inputs = [q, k, v] + ([bias] if biased else [])
    same(gradients(fused, *inputs), gradients(clear, *inputs))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_many_heads_equal_torch_on_the_same_weights(fused: bool, causal: bool) -> None:
    reference = nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64)
    ours = MultiHeadAttention(12, 3, fused=fused).double()
    with torch.no_grad():
        ours.qkv.weight.copy_(reference.in_proj_weight)
        ours.qkv.bias.copy_(randn(36))
        reference.in_proj_bias.copy_(ours.qkv.bias)
    ours.out.load_state_dict(reference.out_proj.state_dict())
    x, lengths = randn(4, 6, 12, grad=True), torch.tensor([6, 1, 4, 3])
    pad = padding_mask(lengths, 6)
    out = ours(x, AttentionContext(pad, causal))
    wanted, weights = reference(
        x, x, x,
        key_padding_mask=~pad[:, 0, 0],
        attn_mask=~causal_mask(6) if causal else None,
        average_attn_weights=False,
    )  # fmt: skip
    real = pad[:, 0, 0]
    same((out[real],), (wanted[real],))
    ours_by = gradients(out[real], x, ours.qkv.weight, ours.out.weight)
    same(ours_by, gradients(wanted[real], x, reference.in_proj_weight, reference.out_proj.weight))
    seen = pad & causal_mask(6) if causal else pad
    same((ours.weights(x, AttentionContext(seen)),), (weights,))


def test_what_lies_ahead_does_not_change_what_came_before() -> None:
    net = MultiHeadAttention(8, 2).double().eval()
    x = randn(1, 5, 8)
    changed = x.clone()
    changed[0, 3:] += 1
    before, after = net(x, CAUSAL), net(changed, CAUSAL)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=0)
    assert (before[:, 3:] - after[:, 3:]).abs().amax(dim=2).min() > 1e-3
    leak = net(x) - net(changed)  # without the mask the past knows
    assert leak[:, :3].abs().amax(dim=2).min() > 1e-3


def test_padding_is_not_read() -> None:
    net = MultiHeadAttention(8, 2).double().eval()
    x = randn(2, 5, 8)
    context = AttentionContext(padding_mask(torch.tensor([3, 5]), 5))
    noisy = x.clone()
    noisy[0, 3:] = 1e6
    torch.testing.assert_close(net(x, context)[0, :3], net(noisy, context)[0, :3])
    torch.testing.assert_close(net(x[:1, :3])[0], net(noisy, context)[0, :3])


@pytest.mark.parametrize("fused", [True, False])
def test_a_row_of_nothing_but_padding_gives_zeros_and_finite_gradients(fused: bool) -> None:
    x = randn(2, 1, 4, 3, grad=True)
    mask = padding_mask(torch.tensor([0, 4]), 4)
    out = (
        fused_attention(x, x, x, mask) if fused else scaled_dot_product_attention(x, x, x, mask)[0]
    )
    assert (out[0] == 0).all()
    assert out[1].abs().sum() > 0
    (g,) = gradients(out, x)
    assert torch.isfinite(g).all()
    assert (g[0] == 0).all()


def test_a_prefix_sees_itself_both_ways_and_the_rest_its_past() -> None:
    mask = prefix_mask(torch.tensor([0, 2, 4]), 4)[:, 0]
    assert torch.equal(mask[0], causal_mask(4))
    assert mask[2].all()
    rows = ["xx..", "xx..", "xxx.", "xxxx"]
    assert torch.equal(mask[1], torch.tensor([[cell == "x" for cell in row] for row in rows]))


def test_a_cache_shifts_the_causal_mask() -> None:
    assert torch.equal(causal_mask(2, past=3), causal_mask(5)[3:])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scores_beyond_float16_do_not_overflow(dtype: torch.dtype) -> None:
    x = torch.full((1, 1, 3, 64), 200.0, dtype=dtype)  # x . x = 2,560,000; float16 ends at 65,504
    out, weights = scaled_dot_product_attention(x, x, x, causal_mask(3))
    assert torch.isfinite(weights).all()
    assert torch.isfinite(out).all()
    assert out.dtype == dtype
    torch.testing.assert_close(weights[0, 0, 2], torch.full((3,), 1 / 3), rtol=1e-3, atol=0)


@pytest.mark.parametrize("lengths", [[7, 7, 4, 2, 1], [3, 3, 3], [1], [9, 1, 1, 1]])
@pytest.mark.parametrize("waste", [0.0, 0.15, 1.0])
def test_packed_rows_equal_rows_alone(lengths: list[int], waste: float) -> None:
    for causal in (True, False):
        net = MultiHeadAttention(8, 2).double()
        x = randn(sum(lengths), 8, grad=True)
        packing = Packing(torch.tensor(lengths), waste=waste)
        packed = net(x, AttentionContext(causal=causal, packing=packing))
        context = AttentionContext(causal=causal)
        alone = torch.cat([net(row[None], context)[0] for row in x.split(lengths)])
        same((packed,), (alone,))
        weights = (x, *net.parameters())
        same(gradients(packed, *weights), gradients(alone, *weights))


def test_packing_knows_its_rows() -> None:
    packing = Packing(torch.tensor([4, 3, 1]), waste=0.3)
    assert [group.lengths.tolist() for group in packing.groups] == [[4, 3], [1]]
    assert packing.ends.tolist() == [3, 6, 7]
    assert packing.steps_back.tolist() == [3, 2, 1, 0, 2, 1, 0, 0]
    x = torch.arange(8)[:, None] * 1.0
    steps = packing.to_steps(x)
    assert steps.batch_sizes.tolist() == [3, 2, 2, 1]
    assert steps.data[:, 0].tolist() == [0, 4, 7, 1, 5, 2, 6, 3]
    assert torch.equal(packing.from_steps(steps), x)
    assert torch.equal(packing.unpad(packing.pad(x)), x)


def test_dropout_sets_the_share_to_zero_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(400_001, requires_grad=True)
    out = dropout(x, 0.2)
    assert abs(float((out == 0).float().mean()) - 0.2) < 0.003
    assert abs(float(out.detach().mean()) - 1) < 0.004
    assert out.unique().tolist() == pytest.approx([0, 1.25], rel=1e-4)
    (g,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(g, out.detach())
    neighbours = (out[:-1] == 0) & (out[1:] == 0)  # four share a draw, and must not share a fate
    assert abs(float(neighbours.float().mean()) - 0.04) < 0.003


def test_dropout_rests_outside_training_and_at_zero() -> None:
    x = torch.randn(5, 5)
    assert Dropout(0.5).eval()(x) is x
    assert dropout(x, 0.0) is x
    torch.manual_seed(1)
    first = Dropout(0.5)(x)
    torch.manual_seed(1)
    assert torch.equal(first, Dropout(0.5)(x))  # one seed, one answer


@pytest.mark.parametrize("causal", [True, False])
def test_attention_with_dropout_has_the_mean_of_attention_without(causal: bool) -> None:
    torch.manual_seed(0)
    q, k, v = (randn(2, 2, 6, 4, seed=i) for i in range(3))
    plain = fused_attention(q, k, v, causal=causal)
    draws = torch.stack([fused_attention(q, k, v, causal=causal, dropout=0.3) for _ in range(4000)])
    error = (draws.mean(0) - plain) / (draws.std(0) / math.sqrt(4000) + 1e-9)
    assert error.abs().max() < 5
    assert draws.std(0)[:, :, -1].min() > 0.01
    tiny = fused_attention(q, k, v, causal=causal, dropout=1e-7)  # rounds to none
    torch.testing.assert_close(tiny, plain)


def test_bad_input_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match=r"10 cannot be split among 3 heads.*\[1, 2, 5, 10\]"):
        MultiHeadAttention(10, 3)
    x = randn(1, 1, 2, 2)
    for call in (scaled_dot_product_attention, fused_attention):
        with pytest.raises(TypeError, match=r"must be bool.*float64"):
            call(x, x, x, torch.ones(2, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="lengths must be from 0 to time=4, got 2 to 5"):
        padding_mask(torch.tensor([2, 5]), 4)
    with pytest.raises(ValueError, match="prefix_lengths must be from 0"):
        prefix_mask(torch.tensor([-1, 2]), 4)
    for wrong in ([], [2, 3], [2, 0]):
        with pytest.raises(ValueError, match="must fall from the first row to the last"):
            Packing(torch.tensor(wrong, dtype=torch.long))
    with pytest.raises(ValueError, match="give no mask"):
        AttentionContext(causal_mask(3), packing=Packing(torch.tensor([3])))
    for p in (-0.1, 1.0):
        with pytest.raises(ValueError, match="dropout must be"):
            Dropout(p)
