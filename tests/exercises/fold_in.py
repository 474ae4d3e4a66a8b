"""Right answers to ``fold_in``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.fold_in import _cell_by_cell, _folded

CORRECT = (_cell_by_cell, _folded())
