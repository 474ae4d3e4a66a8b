"""Paillier: sums and dot products on encrypted numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.trust import PaillierKey, decrypt, encrypt, encrypted_dot

KEY = PaillierKey.generate(bits=160)
NUMBERS = st.floats(-100, 100)


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_the_product_of_ciphertexts_is_the_sum_of_messages(a: float, b: float) -> None:
    rng = random.Random(0)
    both = encrypt(KEY.n, a, rng) * encrypt(KEY.n, b, rng) % KEY.n**2
    assert decrypt(KEY, both) == pytest.approx(a + b, abs=1e-5)


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5))
def test_the_dot_product_is_that_of_the_plain_numbers(pairs: list[tuple[float, float]]) -> None:
    rng = random.Random(0)
    sent = [encrypt(KEY.n, a, rng) for a, _ in pairs]
    result = encrypted_dot(KEY.n, sent, [b for _, b in pairs])
    expected = sum(a * b for a, b in pairs)
    assert decrypt(KEY, result, products=1) == pytest.approx(expected, abs=1e-2)


def test_one_number_has_many_ciphertexts() -> None:
    rng = random.Random(0)
    assert encrypt(KEY.n, 1.0, rng) != encrypt(KEY.n, 1.0, rng)


def test_the_key_has_about_the_length_that_was_wanted() -> None:
    assert {PaillierKey.generate(256, seed).n.bit_length() for seed in range(3)} == {256}


def test_bad_input_is_refused() -> None:
    rng = random.Random(0)
    with pytest.raises(ValueError, match="128 or more"):
        PaillierKey.generate(bits=64)
    for value in (np.inf, np.nan, 1e40):
        with pytest.raises(ValueError, match="not finite, or too large"):
            encrypt(KEY.n, value, rng)
    with pytest.raises(ValueError, match="1 ciphertexts and 2 weights"):
        encrypted_dot(KEY.n, [1], [1.0, 2.0])
