"""Right answers to ``written_share``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.written_share import _share
from m6rec_lite.language import SPECIALS, Tokenizer
from m6rec_lite.m6rec import Infilling, to_rows

TOKENIZER = Tokenizer.train(["a few words to train on"], 300)


def _by_tokens(rate: float, mean_span: float, n: int) -> float:
    """Count the tokens behind [BOS] in a row of the package."""
    masked = Infilling(rate, mean_span).take(
        np.zeros(n, dtype=int), np.array([n]), np.random.default_rng(7)
    )
    ids = to_rows(np.full(n, len(SPECIALS)), [n], masked, TOKENIZER).ids.tolist()
    return (len(ids) - ids.index(TOKENIZER.id("[BOS]")) - 1) / len(ids)


CORRECT = (_share, _by_tokens)

EQUIVALENT: dict[str, str] = {}
