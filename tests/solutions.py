"""The solutions of the exercises, as the tests use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from m6rec_lite.course.build import mutation

ROOT = Path(__file__).resolve().parents[1]

#: Other answers to each exercise, NAME.py.
ANSWERS = ROOT / mutation.ANSWERS

#: The solution notebook of each exercise.
SOLUTIONS = mutation.solution_notebooks(ROOT)


def solution(name: str) -> tuple[dict[str, Any], list[str]]:
    """What the notebook knows where an exercise is answered, and the sources of its answer."""
    return mutation.solution(name, ROOT)
