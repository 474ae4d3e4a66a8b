"""Right answers to ``estimated_rank``, written in other ways."""

from __future__ import annotations

from m6rec_lite.course.exercises.estimated_rank import _expected, _share


def _by_loop(above, n_others, n_max):
    total, still = 0.0, 1.0
    for draw in range(1, n_max + 1):
        total += still * above / n_others * n_others / draw
        still *= 1 - above / n_others
    return total


CORRECT = (_by_loop, _expected(_share))
