"""Transformer blocks and positions: against torch's own modules, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m6rec_lite.nn.attention import AttentionContext
from m6rec_lite.nn.masks import causal_mask, padding_mask
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import (
    LearnedPositions,
    RelativeTime,
    rotary_angles,
    rotate,
    sinusoids,
)
from m6rec_lite.nn.transformer import Block, Transformer, TransformerConfig


def randn(*shape: int, seed: int = 0, grad: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad)


def torch_layer(config: TransformerConfig) -> nn.TransformerEncoderLayer:
    """Torch's layer of the same shape, with biases and norms that are not 0 and 1."""
    layer = nn.TransformerEncoderLayer(
        config.hidden_size, config.n_heads, config.ffn_size or 4 * config.hidden_size,
        config.dropout, config.activation, layer_norm_eps=config.norm_eps, batch_first=True,
        norm_first=config.norm_first, bias=config.bias, dtype=torch.float64,
    )  # fmt: skip
    torch.manual_seed(1)
    for weight in layer.parameters():
        nn.init.normal_(weight, std=0.3)
    return layer


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_a_block_equals_torchs_layer(norm_first: bool, activation: str, fused: bool) -> None:
    config = TransformerConfig(
        12, n_heads=3, ffn_size=20, activation=activation, dropout=0.0, norm_first=norm_first,
        fused=fused,
    )  # fmt: skip
    layer = torch_layer(config)
    block = Block(config).double().load_torch(layer)
    x, lengths = randn(3, 5, 12, grad=True), torch.tensor([5, 2, 4])
    pad = padding_mask(lengths, 5)
    real = pad[:, 0, 0]
    ours = block(x, AttentionContext(pad, causal=True))[real]
    reference = layer(x, src_mask=~causal_mask(5), src_key_padding_mask=~real)[real]
    torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-10)
    pull = randn(*ours.shape, seed=5)
    actual = torch.autograd.grad((ours * pull).sum(), [x, *block.parameters()])
    expected = torch.autograd.grad((reference * pull).sum(), [x, *layer.parameters()])
    torch.testing.assert_close(actual[0], expected[0], rtol=1e-8, atol=1e-9)
    norms = [float(g.norm()) for g in actual[1:]], [float(g.norm()) for g in expected[1:]]
    assert sorted(norms[0]) == pytest.approx(sorted(norms[1]), rel=1e-8)


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_stack_equals_torchs_stack(norm_first: bool) -> None:
    config = TransformerConfig(8, n_layers=3, n_heads=2, dropout=0.0, norm_first=norm_first)
    layer = torch_layer(config)
    last = nn.LayerNorm(8, dtype=torch.float64) if norm_first else None
    reference = nn.TransformerEncoder(layer, 3, norm=last, enable_nested_tensor=False)
    ours = Transformer(config).double()
    for block, other in zip(ours.blocks, reference.layers, strict=True):
        block.load_torch(other)
    x = randn(2, 6, 8)
    torch.testing.assert_close(
        ours(x, causal=True), reference(x, mask=~causal_mask(6)), rtol=1e-9, atol=1e-10
    )


def test_dropout_stands_where_torchs_layer_has_it() -> None:
    """Its expectation does not differ from torch's: means over many draws agree."""
    config = TransformerConfig(8, n_heads=2, dropout=0.3)
    layer = torch_layer(config)
    block = Block(config).double().load_torch(layer)
    x = randn(1, 3, 8)
    torch.manual_seed(0)
    ours = torch.stack([block(x) for _ in range(3000)])
    reference = torch.stack([layer(x) for _ in range(3000)])
    spread = (ours.var(0) / 3000 + reference.var(0) / 3000).sqrt()
    assert ((ours.mean(0) - reference.mean(0)) / spread).abs().max() < 5
    torch.testing.assert_close(ours.std(0), reference.std(0), rtol=0.12, atol=0)
    assert torch.equal(block.eval()(x), block(x))


@pytest.mark.parametrize("rotary", [None, 10_000.0])
def test_packed_equals_padded(rotary: float | None) -> None:
    config = TransformerConfig(8, n_heads=2, dropout=0.0, rotary_base=rotary)
    net = Transformer(config).double()
    lengths = torch.tensor([6, 5, 2, 1])
    packing = Packing(lengths)
    x = randn(14, 8)
    packed = net(x, causal=True, packing=packing)
    padded = nn.utils.rnn.pad_sequence(x.split(lengths.tolist()), batch_first=True)
    out = net(padded, causal=True)  # rotary depends on distances, so the start does not matter
    real = padding_mask(lengths, 6)[:, 0, 0]
    torch.testing.assert_close(packed, out[real], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 10, "n_heads": 4}, r"10 cannot be split among 4 heads.*1, 2, 5, 10"),
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"n_layers": 0}, "n_layers must be at least 1"),
        ({"dropout": 1.0}, "below 1"),
        ({"ffn_size": 0}, "ffn_size must be at least 1"),
        ({"activation": "swish"}, "one of .*gelu"),
        ({"hidden_size": 6, "n_heads": 2, "rotary_base": 1e4}, "must be even, got 6 / 2 = 3"),
    ],
)
def test_a_config_that_cannot_be_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**values)


def test_input_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="x has 6 dimensions per position, expected hidden_size 8"):
        Transformer(TransformerConfig(8))(torch.zeros(1, 2, 6))
    block, wide = Block(TransformerConfig(8)), torch_layer(TransformerConfig(12, n_heads=1))
    with pytest.raises(ValueError, match="torch's layer has"):
        block.load_torch(wide)


# Positions.


def test_learned_positions_are_looked_up_and_bounded() -> None:
    table = LearnedPositions(4, 3)
    assert torch.equal(table(torch.tensor([[3, 0]])), table.weight[[3, 0]][None])
    for wrong in ([4], [-1]):
        with pytest.raises(ValueError, match=r"from 0 to 3, got .*cut the sequence"):
            table(torch.tensor(wrong))
    assert table(torch.zeros(0, dtype=torch.long)).shape == (0, 3)


def test_sinusoids_are_the_papers() -> None:
    table = sinusoids(torch.arange(6), 8)
    for p in range(6):
        for i in range(4):
            angle = torch.tensor(p / 10_000 ** (2 * i / 8))
            assert table[p, 2 * i] == pytest.approx(float(angle.sin()), abs=1e-6)
            assert table[p, 2 * i + 1] == pytest.approx(float(angle.cos()), abs=1e-6)
    near, far = table[0] @ table[1], table[0] @ table[5]
    assert near > far
    with pytest.raises(ValueError, match="must be even, got 3"):
        sinusoids(torch.arange(2), 3)


def test_rotary_products_depend_on_the_distance_alone() -> None:
    q, k = randn(1, 1, 8), randn(1, 1, 8, seed=1)

    def product(p: int, r: int) -> float:
        turned = rotate(q, rotary_angles(torch.tensor([p]), 8))
        return float((turned * rotate(k, rotary_angles(torch.tensor([r]), 8))).sum())

    assert product(3, 1) == pytest.approx(product(103, 101), rel=1e-5)
    assert product(3, 1) != pytest.approx(product(1, 3), rel=1e-3)  # it knows before from after
    assert product(7, 7) == pytest.approx(float((q * k).sum()), rel=1e-6)
    long = rotate(q, rotary_angles(torch.tensor([50_000]), 8))
    assert float(long.norm()) == pytest.approx(float(q.norm()))  # turning keeps the length


def test_relative_time_counts_steps_and_time() -> None:
    module = RelativeTime(n_heads=2, max_steps=3, n_buckets=20)
    with torch.no_grad():
        module.steps.copy_(torch.arange(6.0).view(2, 3))
        module.times.copy_(torch.arange(40.0).view(2, 20) / 100)
    out = module(torch.tensor([[0, 1, 3601, 3601]])).detach()
    assert out.shape == (1, 2, 4, 4)
    # Query 2 at 3,601 s, key 0 at 0 s: two steps, floor(ln 3601 / 0.301) = 27, beyond the last.
    assert float(out[0, 0, 2, 0]) == pytest.approx(2 + 0.19)
    assert float(out[0, 1, 1, 0]) == pytest.approx(4 + 0.20)  # one step, one second: bucket 0
    assert float(out[0, 0, 3, 0]) == pytest.approx(2 + 0.19)  # three steps share the last number
    assert float(out[0, 0, 0, 2]) == pytest.approx(0)  # ahead: distance 0, hidden by a mask
    moved = module(torch.tensor([[0, 1, 3601, 3601]]) + 1_700_000_000)
    assert torch.equal(out, moved)
    with pytest.raises(TypeError, match="whole seconds"):
        module(torch.zeros(1, 3))
