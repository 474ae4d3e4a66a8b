"""Right answers to ``project_conflict``, written in other ways."""

from __future__ import annotations

import numpy as np


def _project(g: np.ndarray, other: np.ndarray) -> np.ndarray:
    product = g @ other
    return g if product >= 0 else g - product / (other @ other) * other


def _project_by_unit(g: np.ndarray, other: np.ndarray) -> np.ndarray:
    unit = other / np.linalg.norm(other)
    return g - min(0.0, float(g @ unit)) * unit


CORRECT = (_project, _project_by_unit)

EQUIVALENT = {
    "product = other @ g": "the product of two vectors has no order",
    "if product > 0:": "of orthogonal gradients the component is 0",
}
