"""Right answers to ``ndcg_under_ties``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.ndcg_under_ties import _ndcg

CORRECT = (_ndcg,)
