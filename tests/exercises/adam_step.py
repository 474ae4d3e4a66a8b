"""Right answers to ``adam_step``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.adam_step import _BETA1, _BETA2, _EPS, _adam, _right


def _one_rate(theta, g, m, v, t, alpha=0.001):
    """The same, as Kingma and Ba rewrite it at the end of their section 2, eps moved along."""
    m = _BETA1 * m + (1 - _BETA1) * g
    v = _BETA2 * v + (1 - _BETA2) * g * g
    root = (1 - _BETA2**t) ** 0.5
    return theta - alpha * root / (1 - _BETA1**t) * m / (v**0.5 + _EPS * root), m, v


CORRECT = (_adam(_right), _one_rate)
