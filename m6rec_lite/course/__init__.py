"""The course's machinery: scales, figures, exercises, the leaderboard, and what runs and checks.

A chapter needs only this line, ``from m6rec_lite import course``, and these names:

- ``course.default_scale()``, ``course.sizes(SCALE, smoke={…}, laptop={…})``;
- ``course.style()``, ``course.show(fig, alt="…")``, ``course.ladder(rows)``,
  ``course.roadmap(here)``;
- ``course.Leaderboard()`` with ``add``, ``show``, ``latest``;
- ``course.record("EASE ndcg@10", value, at_least=0.05)``;
- ``course.exercise("hit_rate")`` with ``check``, ``hint``, ``solution``.

Commands: ``python -m m6rec_lite.course --help``.
"""

from m6rec_lite.course.bounds import record
from m6rec_lite.course.exercises.question import exercise
from m6rec_lite.course.figures import PALETTE, ladder, ladder_alt, roadmap, show, style
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.scale import default_scale, sizes

__all__ = [
    "PALETTE",
    "Leaderboard",
    "default_scale",
    "exercise",
    "ladder",
    "ladder_alt",
    "record",
    "roadmap",
    "show",
    "sizes",
    "style",
]
