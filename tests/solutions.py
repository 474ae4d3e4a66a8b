"""The solutions of the exercises, as the tests use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from m6rec_lite.course.build import mutation
from m6rec_lite.course.exercises.question import load_exercise
from m6rec_lite.course.open_exercise import OpenExercise
from m6rec_lite.course.predictions import predict

ROOT = Path(__file__).resolve().parents[1]

#: Other answers to each exercise, NAME.py.
ANSWERS = ROOT / mutation.ANSWERS

#: The solution notebook of each exercise.
SOLUTIONS = mutation.solution_notebooks(ROOT)


def solution(name: str) -> tuple[dict[str, Any], list[str]]:
    """What the notebook knows where an exercise is answered, and the sources of its answer."""
    return mutation.solution(name, ROOT)


def store_predictions() -> None:
    """Store a prediction for every open exercise, in the folder of this run."""
    for name in SOLUTIONS:
        if isinstance(declared := load_exercise(name), OpenExercise):
            predict(name, declared.example)
