"""Right answers to ``mf_sgd_step``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.mf_sgd_step import _mf_step, _mf_step_by_loop

CORRECT = (_mf_step(), _mf_step_by_loop)
