"""Right answers to ``prefix_lm_mask``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.prefix_lm_mask import _mask, _mask_by_loops

CORRECT = (_mask, _mask_by_loops)
