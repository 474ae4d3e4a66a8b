"""Quantization: the round trip, what cannot be coded, and models in few bits."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from m6rec_lite.m6rec import (
    dequantize_blockwise,
    factorize_embedding,
    quantize_blockwise,
    quantize_dynamic,
    quantize_weights,
)
from m6rec_lite.m6rec.compress.quantization import pack_nibbles, unpack_nibbles
from tests.m6rec.compress.small import a_model, rows, scorer

MATRICES = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 20)),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(MATRICES, st.sampled_from([4, 8]), st.sampled_from([2, 8, 64]))
def test_a_weight_is_read_back_within_half_a_step(weight, bits, block):
    codes, scales = quantize_blockwise(torch.from_numpy(weight), bits, block)
    again = dequantize_blockwise(codes, scales, weight.shape[1]).numpy()
    step = np.repeat(scales.numpy()[..., 0], block, axis=1)[:, : weight.shape[1]]
    rounding = 1e-6 * np.abs(weight)
    assert (np.abs(again - weight) <= step / 2 + rounding).all()
    assert np.abs(again).max() <= np.abs(weight).max() * (1 + 1e-6)


def test_by_hand():
    codes, scales = quantize_blockwise(torch.tensor([[0.7, -0.36, 0.04, 0.0]]), 4, 4)
    assert scales.item() == pytest.approx(0.1)
    assert unpack_nibbles(codes).tolist() == [[[7, -4, 0, 0]]]
    assert codes.shape == (1, 1, 2)  # two codes a byte
    zeros = quantize_blockwise(torch.zeros(2, 3), 8, 4)
    assert dequantize_blockwise(*zeros, 3).tolist() == [[0.0] * 3] * 2


@given(st.lists(st.integers(-8, 7), min_size=2, max_size=20).filter(lambda x: len(x) % 2 == 0))
def test_nibbles_are_unpacked_as_packed(codes):
    packed = pack_nibbles(torch.tensor(codes, dtype=torch.int8))
    assert unpack_nibbles(packed).tolist() == codes
    assert packed.numel() == len(codes) // 2


def test_what_has_no_code_is_refused():
    for bad in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="1 of 6 weights are NaN or infinite"):
            quantize_blockwise(torch.tensor([[1.0, bad, 2.0], [0.0, 0.0, 0.0]]))
    model = a_model(2)
    model.blocks[0].up_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        quantize_weights(model)
    for bits, block in ((3, 64), (4, 7), (4, 0)):
        with pytest.raises(ValueError, match="bits must be 4 or 8 and block even"):
            quantize_blockwise(torch.ones(2, 2), bits, block)


@pytest.mark.parametrize("rank", [None, 16])
def test_a_model_in_8_bits_answers_nearly_alike_and_in_4_bits_less_so(rank):
    examples, answers = rows(30), {}
    for bits in (32, 8, 4):
        model = a_model(2)
        if rank:
            factorize_embedding(model, rank)
        both = scorer(model)
        torch.nn.init.normal_(both.task("scoring").head.weight)
        if bits < 32:
            quantize_weights(model, bits, 16)
            ids = torch.randint(11, 270, (2, 5))
            torch.testing.assert_close(model.embedding(ids), model.embedding.weight[ids])
        answers[bits] = both.task("scoring").predict(model, examples)
    error = {bits: np.abs(answers[bits] - answers[32]).mean() for bits in (8, 4)}
    assert 0 < error[8] < 0.05
    assert error[8] < error[4] < 0.4


def check_dynamic(library: str) -> None:
    model, examples = a_model(2), rows(20)
    both = scorer(model)
    wanted = both.task("scoring").predict(model, examples)
    assert quantize_dynamic(model) == library
    np.testing.assert_allclose(both.task("scoring").predict(model, examples), wanted, atol=0.02)


def test_dynamic_8_bit_by_torch(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torchao" else find(name)
    )
    check_dynamic("torch")


@pytest.mark.extra
def test_dynamic_8_bit_by_torchao():
    pytest.importorskip("torchao")
    check_dynamic("torchao")
