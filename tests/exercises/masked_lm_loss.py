"""Right answers to ``masked_lm_loss``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.masked_lm_loss import _masked_loss

CORRECT = (
    _masked_loss,
    lambda log_p, ids, asked: (
        -sum(log_p[i, ids[i]] for i in range(len(ids)) if asked[i]) / sum(asked)
    ),
)
