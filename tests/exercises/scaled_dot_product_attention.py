"""Right answers to ``scaled_dot_product_attention``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.scaled_dot_product_attention import _attend, _softmax

CORRECT = (
    _attend,
    lambda q, k, v: (_softmax(k @ q.T / np.sqrt(len(q[0])), axis=0).T) @ v,
)

EQUIVALENT = {
    "grown = np.exp(scores)": (
        "a softmax does not change by a constant; large scores are masked_attention's"
    ),
    "grown = np.exp(scores + scores.max(axis=1, keepdims=True))": (
        "a softmax does not change by a constant; large scores are masked_attention's"
    ),
    "grown = np.exp(scores - scores.max(keepdims=True))": (
        "a softmax does not change by a constant; large scores are masked_attention's"
    ),
    "grown = np.exp(scores - scores.min(axis=1, keepdims=True))": (
        "a softmax does not change by a constant; large scores are masked_attention's"
    ),
}
