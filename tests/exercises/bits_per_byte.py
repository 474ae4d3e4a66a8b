"""Right answers to ``bits_per_byte``, written in other ways."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.bits_per_byte import Logs, _judge


def _by_products(logprobs: Logs, text: str) -> list[float]:
    """By the probability of the whole text."""
    p = float(np.prod(np.exp(logprobs)))
    return [p ** (-1 / len(logprobs)), -math.log2(p) / len(bytes(text, "utf-8"))]


CORRECT = (
    _judge,
    lambda logprobs, text: _by_products(logprobs, text),
)
