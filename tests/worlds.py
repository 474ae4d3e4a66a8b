"""Data that several files of tests read, made once a process. Tests must not change them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from m6rec_lite.data import Dataset, Split, bazaar, leave_one_out, load_dataset


@cache
def shipped() -> Dataset:
    """The bazaar that is embedded in the checkout."""
    return load_dataset("bazaar")


@cache
def small() -> Dataset:
    """A bazaar of few users and items, with text."""
    return bazaar.generate(users=420, items=150, seed=3, slates=0, progress=False)


@cache
def shipped_split() -> Split:
    """``shipped`` under leave-one-out."""
    return leave_one_out(shipped())


@cache
def small_split() -> Split:
    """``small`` under leave-one-out."""
    return leave_one_out(small())


@cache
def experiment_data() -> dict[str, dict[str, Any]]:
    """What ``course.try_it`` needs, by the name of the experiment: small random data."""
    rng = np.random.default_rng(0)
    events, items = [f"event {i}" for i in range(5)], [f"item {i}" for i in range(60)]
    prompts = [
        {
            "text": f"prompt of {n} tokens",
            "tokens": [f"token {i}" for i in range(n)],
            "logits": rng.normal(scale=2, size=n),
        }
        for n in (100, 200)
    ]
    words = [f"word{i}" for i in range(40)]
    weights = np.tril(rng.random((2, 2, 5, 5)) + 0.1)
    return {
        "decay": {"events": events, "items": items, "weights": rng.normal(size=(5, 60))},
        "sampling": {"prompts": prompts},
        "smoothing": {
            "words": words,
            "once": rng.integers(1, 90, len(words)),
            "after": {word: rng.poisson(0.7, len(words)) for word in words[:3]},
        },
        "attention": {"events": events, "weights": weights / weights.sum(-1, keepdims=True)},
        "privacy": {"items": items[:6], "counts": [90, 50, 41, 40, 12, 3]},
    }
