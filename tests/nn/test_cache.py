"""The cache of keys and values: reading in pieces equals reading at once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from m6rec_lite.nn.cache import Cache, KeyValueCache
from m6rec_lite.nn.masks import causal_mask
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.transformer import Transformer, TransformerConfig


def network(**options: Any) -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(hidden_size=8, n_layers=3, n_heads=2, dropout=0.0, **options)
    return Transformer(config).double().eval()


def read_in_pieces(
    model: Transformer, x: torch.Tensor, cuts: list[int], cache: Cache
) -> torch.Tensor:
    ends = [*sorted(set(cuts)), x.shape[1]]
    parts, start = [], 0
    for end in ends:
        if end > start:
            parts.append(model(x[:, start:end], causal=True, cache=cache))
        start = end
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("rotary", [None, 10_000.0])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("make", [KeyValueCache, DynamicCache])
@given(cuts=st.lists(st.integers(1, 8), max_size=8))
@settings(max_examples=15, deadline=None)
def test_reading_in_pieces_equals_reading_at_once(
    rotary: float | None, fused: bool, make: Callable[[], Cache], cuts: list[int]
) -> None:
    model = network(rotary_base=rotary, fused=fused)
    x = torch.randn(2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model(x, causal=True)
        torch.testing.assert_close(read_in_pieces(model, x, cuts, make()), whole)


def test_gradients_pass_through_the_cache() -> None:
    model = network()
    x = torch.randn(1, 6, 8, dtype=torch.float64, requires_grad=True)
    (whole,) = torch.autograd.grad(model(x, causal=True).square().sum(), x)
    pieces = read_in_pieces(model, x, [2, 3], KeyValueCache())
    torch.testing.assert_close(torch.autograd.grad(pieces.square().sum(), x)[0], whole)


def test_a_prefix_is_read_both_ways_and_the_rest_behind_it() -> None:
    model = network()
    x = torch.randn(1, 7, 8, dtype=torch.float64)
    mask = causal_mask(7)
    mask[:, :4] = True  # the first four see each other
    with torch.no_grad():
        whole = model(x, mask)
        cache = KeyValueCache()
        first = model(x[:, :4], cache=cache)
        rest = [model(x[:, i : i + 1], causal=True, cache=cache) for i in range(4, 7)]
    torch.testing.assert_close(torch.cat([first, *rest], dim=1), whole)
    assert cache.get_seq_length() == 7


def test_selected_rows_go_on_as_if_they_had_been_alone() -> None:
    model = network()
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    rows = torch.tensor([2, 0, 2])
    with torch.no_grad():
        cache = KeyValueCache()
        model(x[:, :4], causal=True, cache=cache)
        cache.select(rows)
        last = model(x[rows, 4:], causal=True, cache=cache)
        torch.testing.assert_close(last, model(x[rows], causal=True)[:, 4:])


def test_a_mask_hides_padding_in_what_was_read() -> None:
    model = network()
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    padded = torch.cat([torch.randn(1, 2, 8, dtype=torch.float64), x], dim=1)
    mask = causal_mask(7) & (torch.arange(7) >= 2)
    with torch.no_grad():
        cache = KeyValueCache()
        model(padded[:, :6], mask[:6, :6], cache=cache)
        last = model(padded[:, 6:], mask[6:], cache=cache)
        torch.testing.assert_close(last, model(x, causal=True)[:, 4:])


def test_what_does_not_fit_is_refused() -> None:
    model, x = network(), torch.randn(2, 3, 8, dtype=torch.float64)
    cache = KeyValueCache()
    assert cache.get_seq_length() == 0
    with torch.no_grad():
        model(x, causal=True, cache=cache)
        with pytest.raises(ValueError, match="holds 2 rows and 1 were given"):
            model(x[:1], causal=True, cache=cache)
    keys = torch.zeros(1, 1, 1, 4)
    with pytest.raises(ValueError, match="layer 2 comes before layer 0"):
        KeyValueCache().update(keys, keys, 2)
    flat, packing = torch.zeros(3, 8, dtype=torch.float64), Packing(torch.tensor([2, 1]))
    with pytest.raises(ValueError, match="no cache with it"):
        model(flat, causal=True, packing=packing, cache=KeyValueCache())
