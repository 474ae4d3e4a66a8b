"""Right answers to ``perplexity``, written in other ways."""

from __future__ import annotations

import math

import numpy as np

from m6rec_lite.course.exercises.perplexity import _quiet


def _perplexity(probs: list[float]) -> float:
    if min(probs) == 0:
        return math.inf
    return math.exp(-sum(math.log(p) for p in probs) / len(probs))


CORRECT = (
    _perplexity,
    _quiet(lambda p: 2 ** -np.log2(p).mean()),
    _quiet(lambda p: np.exp(-np.log(p).sum() / len(p))),
)

EQUIVALENT = {
    "with np.errstate():": "the same value with a warning",
}
