"""The course's own tools: scales, figures, exercises and the leaderboard.

A lesson needs only the line ``from m6rec_lite import course`` and these names:

- ``course.default_scale()``, ``course.sizes(SCALE, smoke={…}, laptop={…})``;
- ``course.load(DATASET, users=size.users)``, the only door to data;
- ``course.style()``, ``course.show(fig, alt="…")``, ``course.plot_leaderboard(rows)``,
  ``course.plot_roadmap(here)``;
- ``course.Leaderboard()`` with ``add``, ``show``, ``latest``;
- ``course.record("EASE ndcg@10", value, at_least=0.05)``;
- ``course.predict("17.clicked", 0.05)`` before a measurement, and
  ``course.compare_prediction("17.clicked", measured)`` after it;
- ``course.try_it("decay", {…})``, an experiment that works without a kernel;
- ``course.exercise("hit_rate")`` with ``check``, ``hint``, ``solution``.

Commands: ``python -m m6rec_lite.course --help``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
