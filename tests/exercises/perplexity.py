"""Right answers to ``perplexity``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.perplexity import _perplexity, _quiet

CORRECT = (
    _perplexity,
    _quiet(lambda p: 2 ** -np.log2(p).mean()),
    _quiet(lambda p: np.exp(-np.log(p).sum() / len(p))),
)
