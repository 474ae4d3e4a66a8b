"""Cross-attention and the fusions of modalities."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from m6rec_lite.multimodal import FUSIONS, CrossAttention, drop_modalities


def copied(layer: nn.MultiheadAttention) -> CrossAttention:
    """Cross-attention with the weights of torch's layer."""
    d = layer.embed_dim
    ours = CrossAttention(d, layer.num_heads)
    with torch.no_grad():
        ours.query.weight.copy_(layer.in_proj_weight[:d])
        ours.query.bias.copy_(layer.in_proj_bias[:d])
        ours.key_value.weight.copy_(layer.in_proj_weight[d:])
        ours.key_value.bias.copy_(layer.in_proj_bias[d:])
    ours.out.load_state_dict(layer.out_proj.state_dict())
    return ours


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_it_equals_torch_with_its_gradients(heads, masked):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(16, heads, batch_first=True)
    nn.init.normal_(theirs.in_proj_bias)
    nn.init.normal_(theirs.out_proj.bias)
    ours, theirs = copied(theirs).double(), theirs.double()
    x, memory = torch.randn(3, 5, 16).double(), torch.randn(3, 7, 16).double()
    present = torch.rand(3, 7) < 0.6 if masked else None
    if present is not None:
        present[:, 0] = True
    absent = None if present is None else ~present
    results = []
    for layer in (ours, theirs):
        q, m = x.clone().requires_grad_(), memory.clone().requires_grad_()
        if layer is ours:
            out = ours(q, m, present)
            weights = ours.weights(q, m, present)
        else:
            out, weights = theirs(
                q, m, m, key_padding_mask=absent, average_attn_weights=False, need_weights=True
            )
        gradients = torch.autograd.grad(out.pow(2).sum(), (q, m))
        results.append((out, weights, *gradients))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_a_row_without_keys_gets_the_bias():
    torch.manual_seed(0)
    layer = CrossAttention(8, 2)
    present = torch.tensor([[True, True], [False, False]])
    out = layer(torch.randn(2, 3, 8), torch.randn(2, 2, 8), present)
    torch.testing.assert_close(out[1], layer.out.bias.expand(3, 8))
    assert not torch.allclose(out[0], layer.out.bias.expand(3, 8))


def test_heads_must_divide_the_size():
    with pytest.raises(ValueError, match="cannot be split among 3 heads"):
        CrossAttention(8, 3)


def rows(n: int = 4) -> tuple[torch.Tensor, dict, dict]:
    """x, tokens and masks of two modalities; the last row has none, NaN where one is missing."""
    torch.manual_seed(1)
    tokens = {"text": torch.randn(n, 3, 8), "picture": torch.randn(n, 2, 8)}
    text = torch.ones(n, 3, dtype=torch.bool)
    text[0, 2] = False
    text[-1] = False
    picture = torch.tensor([[True], [False], [True], [False]])
    tokens["picture"][1] = torch.nan
    tokens["text"][0, 2] = torch.nan
    return torch.randn(n, 8), tokens, {"text": text, "picture": picture}


@pytest.mark.parametrize("name", FUSIONS)
def test_what_is_missing_has_no_effect(name):
    torch.manual_seed(0)
    fusion = FUSIONS[name](["text", "picture"], 8, 2)
    x, tokens, present = rows()
    out = fusion(x, tokens, present)
    assert out.shape == x.shape
    assert out.isfinite().all()
    other = {key: value.nan_to_num(7.0) for key, value in tokens.items()}
    torch.testing.assert_close(fusion(x, other, present), out)
    other["text"] = other["text"].clone()
    other["text"][0, 0] += 1
    changed = (fusion(x, other, present) - out).abs().sum(dim=1) > 1e-6
    assert changed.tolist() == [True, False, False, False]
    out.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in fusion.parameters())


@pytest.mark.parametrize("name", FUSIONS)
def test_the_order_of_the_tokens_of_a_modality_does_not_matter(name):
    fusion = FUSIONS[name](["text", "picture"], 8, 2)
    x, tokens, present = rows()
    turned = {key: value.flip(1) for key, value in tokens.items()}
    masks = {"text": present["text"].flip(1), "picture": present["picture"]}
    torch.testing.assert_close(fusion(x, turned, masks), fusion(x, tokens, present))


@pytest.mark.parametrize("name", FUSIONS)
def test_the_fusions_refuse_unknown_and_missing_names(name):
    fusion = FUSIONS[name](["text", "picture"], 8, 2)
    x, tokens, present = rows()
    with pytest.raises(KeyError, match="wanted tokens and masks of text, picture"):
        fusion(x, {"text": tokens["text"]}, present)
    with pytest.raises(KeyError, match="masks of none"):
        fusion(x, tokens, {})
    with pytest.raises(ValueError, match="one or more modalities"):
        FUSIONS[name]([], 8, 2)


@given(st.integers(0, 2**31), st.floats(0, 0.99))
def test_modality_dropout_keeps_one_of_what_is_there(seed, rate):
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(20, 3, generator=generator) < 0.6
    draws = torch.rand(20, 3, generator=generator)
    kept = drop_modalities(present, rate, draws)
    assert not (kept & ~present).any()  # nothing appears
    assert torch.equal(kept.any(dim=1), present.any(dim=1))
    assert torch.equal(drop_modalities(present, 0.0, draws), present)
    several = kept.sum(dim=1) > 1
    assert (kept[several] == (present & (draws >= rate))[several]).all()


def test_modality_dropout_drops_at_its_rate():
    draws = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0))
    kept = drop_modalities(torch.ones(20_000, 2, dtype=torch.bool), 0.3, draws)
    # a modality is missing if it is dropped and the other is not, or is dropped for it
    assert float(kept[:, 0].float().mean()) == pytest.approx(1 - (0.3 * 0.7 + 0.09 / 2), abs=0.01)
    with pytest.raises(ValueError, match="below 1"):
        drop_modalities(torch.ones(1, 2, dtype=torch.bool), 1.0, draws[:1])
