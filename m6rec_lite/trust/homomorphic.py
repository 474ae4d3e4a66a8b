"""Paillier's cryptosystem in thirty lines: a dot product on numbers that stay encrypted.

**Not for use.** The primes pass a weak test, the random numbers are predictable, the keys are
short, and an attacker may measure times. For real data use a reviewed library.

Ciphertexts are whole numbers modulo n squared. The product of two decrypts to the sum of the two
messages, a power to a multiple of the message; two messages cannot be multiplied. Source: Paillier,
*Public-key cryptosystems based on composite degree residuosity classes*, 1999.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

SCALE = 2**20  #: a number x is encrypted as the whole number round(SCALE * x)


@dataclass(frozen=True)
class PaillierKey:
    """A key pair. Whoever has ``n`` can encrypt and compute; ``secret`` is needed to decrypt.

    Attributes:
        n: product of two primes, the public key.
        secret: least common multiple of the primes less one.
    """

    n: int
    secret: int

    @classmethod
    def generate(cls, bits: int = 512, seed: int = 0) -> PaillierKey:
        """Return a key whose ``n`` has about ``bits`` bits; real ones have 3,072.

        Raises:
            ValueError: if ``bits`` is below 128.
        """
        if bits < 128:
            raise ValueError(f"a key of {bits} bits has no room for sums; take 128 or more")
        rng = random.Random(seed)
        p, q = (_prime(bits // 2, rng) for _ in range(2))
        while p == q:
            q = _prime(bits // 2, rng)
        return cls(p * q, math.lcm(p - 1, q - 1))


def _prime(bits: int, rng: random.Random) -> int:
    """Return a number that Fermat's test takes for a prime."""
    while True:
        p = rng.getrandbits(bits) | 1 | 3 << (bits - 2)
        if all(pow(base, p - 1, p) == 1 for base in (2, 3, 5, 7)):
            return p


def encrypt(n: int, value: float, rng: random.Random) -> int:
    """Encrypt a number with the public key; twice the same number gives two ciphertexts.

    Raises:
        ValueError: if the value is not finite, or too large for the key.
    """
    if not math.isfinite(value) or abs(value) * SCALE**2 >= n // 2:
        raise ValueError(
            f"{value!r} is not finite, or too large for a key of {n.bit_length()} bits"
        )
    message = round(value * SCALE)
    return (1 + message * n) * pow(rng.randrange(2, n), n, n * n) % (n * n)


def decrypt(key: PaillierKey, ciphertext: int, *, products: int = 0) -> float:
    """Decrypt a number.

    Args:
        key: with the secret.
        ciphertext: whole number below the square of ``key.n``.
        products: number of times that the message was multiplied by a scaled number: 1 for the
            result of ``encrypted_dot``.
    """
    n = key.n
    message = (pow(ciphertext, key.secret, n * n) - 1) // n * pow(key.secret, -1, n) % n
    return (message - n if message > n // 2 else message) / SCALE ** (1 + products)


def encrypted_dot(n: int, ciphertexts: Sequence[int], weights: Sequence[float]) -> int:
    """Return the encrypted dot product of encrypted numbers and plain weights.

    A server with item vectors computes a user's score so, without learning the user's vector.

    Args:
        n: the public key.
        ciphertexts: encrypted numbers.
        weights: plain numbers, as many.

    Raises:
        ValueError: if the lengths differ.
    """
    if len(ciphertexts) != len(weights):
        raise ValueError(f"{len(ciphertexts)} ciphertexts and {len(weights)} weights")
    result = 1  # an encryption of 0
    for ciphertext, weight in zip(ciphertexts, weights, strict=True):
        result = result * pow(ciphertext, round(weight * SCALE), n * n) % (n * n)
    return result
