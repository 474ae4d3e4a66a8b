"""Right answers to ``absolute_discounting``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.absolute_discounting import _discounted, _variant

CORRECT = (
    _discounted,
    _variant(lambda c, d, g, p: c - d + g * p, lambda c, d, g, p: g * p),
)
