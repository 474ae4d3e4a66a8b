"""Right answers to ``reconstruction_loss``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.reconstruction_loss import _loss, _two_sides

CORRECT = (_loss, _two_sides)
