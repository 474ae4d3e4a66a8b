"""The learner's interface to an exercise, and lookup by name."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from m6rec_lite.course.asserted_metrics import strict
from m6rec_lite.course.exercises.engine import CORRECT, Exercise


class Question:
    """``check``, ``hint`` and ``solution`` of one exercise."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise
        self._hints_shown = 0

    def __repr__(self) -> str:
        return f"Exercise {self.exercise.id}: {self.exercise.title}"

    @property
    def data(self) -> Mapping[str, Any]:
        """Data of the exercise, by name."""
        return self.exercise.data

    def check(self, answer: Any) -> None:
        """Check an answer and display the verdict.

        Raises:
            AssertionError: if it is wrong and ``M6REC_STRICT`` is set (in the tests).
        """
        verdict = self.exercise.grade(answer)
        _display(str(verdict), verdict._repr_html_())
        if strict() and verdict.outcome != CORRECT:
            raise AssertionError(f"exercise {self.exercise.id}: {verdict}")

    def hint(self) -> None:
        """Display the next hint; the last one again if there are no more."""
        hints = self.exercise.hints
        n = min(self._hints_shown, len(hints) - 1)
        self._hints_shown += 1
        text = f"Hint {n + 1} of {len(hints)}: {hints[n]}"
        _display(text, f"<div>{escape(text)}</div>")

    def solution(self) -> None:
        """Display the source of the solution."""
        from m6rec_lite.course.build.exercise_stubs import solution_source

        source = solution_source(self.exercise.id)
        _display(source, f"<pre>{escape(source)}</pre>")


def exercise(name: str) -> Question:
    """Return the exercise of that name, such as ``"mf_sgd_step"``.

    Raises:
        ValueError: if there is none; the message lists similar names.
    """
    names = exercise_names()
    if name not in names:
        close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4)
        hint = f"close names: {', '.join(close)}" if close else f"names look like {names[0]!r}"
        raise ValueError(f"no exercise {name!r}; {hint}")
    return Question(load_exercise(name))


def exercise_names() -> list[str]:
    """Return the names of all exercises, sorted, without importing any."""
    others = {"__init__", "comparison", "engine", "question"}
    return sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - others)


def load_exercise(name: str) -> Exercise:
    """Import the module of one exercise and return its ``EXERCISE``."""
    module = importlib.import_module(f"m6rec_lite.course.exercises.{name}")
    return module.EXERCISE


def _display(text: str, html: str) -> None:
    """Display in a notebook, else print."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(text)
    else:
        display({"text/plain": text, "text/html": html}, raw=True)
