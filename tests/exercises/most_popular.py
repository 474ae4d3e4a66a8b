"""Right answers to ``most_popular``, written in other ways."""

from __future__ import annotations

CORRECT = ("lamp", "".join(["la", "mp"]))
