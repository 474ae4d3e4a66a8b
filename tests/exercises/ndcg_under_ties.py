"""Right answers to ``ndcg_under_ties``, written in other ways."""

from __future__ import annotations

import math

from m6rec_lite.course.exercises.ndcg_under_ties import _ndcg


def _by_sum(above: int, tied: int, k: int) -> float:
    ranks = range(above + 1, above + tied + 1)
    return sum(1 / math.log2(rank + 1) for rank in ranks if rank <= k) / tied


CORRECT = (_ndcg, _by_sum)
