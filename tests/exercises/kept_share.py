"""Right answers to ``kept_share``, written in other ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from m6rec_lite.course.exercises.kept_share import plan, share
from m6rec_lite.m6rec import Plan, kept_bytes


def _by_a_new_plan(**changes: Any) -> float:
    return kept_bytes(Plan.of_size("nano", chunk=256, **changes)) / kept_bytes(plan())


def _by_percent(**changes: Any) -> float:
    before, after = kept_bytes(plan()), kept_bytes(replace(plan(), **changes))
    return (100 * after / before) / 100


CORRECT = (share, _by_a_new_plan, _by_percent)


EQUIVALENT: dict[str, str] = {}
