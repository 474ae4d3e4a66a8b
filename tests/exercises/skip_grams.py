"""Right answers to ``skip_grams``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.skip_grams import _skip_pairs

CORRECT = (
    _skip_pairs,
    lambda history, skips, weight: {
        pair: sum(
            weight ** (b - a - 1)
            for a in range(len(history))
            for b in range(a + 1, min(a + 2 + skips, len(history)))
            if (history[a], history[b]) == pair
        )
        for pair in {
            (history[a], history[b])
            for a in range(len(history))
            for b in range(a + 1, min(a + 2 + skips, len(history)))
        }
    },
)
