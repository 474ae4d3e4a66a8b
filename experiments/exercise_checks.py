"""Count the wrong answers that the checks of the exercises reject, and write ``docs/exercises.md``.

    python -m experiments exercise_checks

For each exercise: the mutants of its solution (``python -m m6rec_lite.course mutate``) and the
plausible mistakes that are written down beside its check and in ``tests/exercises``. A mistake is
*named* if the check answers with a sentence about this mistake, and not only with a case that
differs.
"""

from __future__ import annotations

import argparse
import os
import runpy
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.course.build.mutation import ANSWERS, grade_mutants, solution_notebooks
from m6rec_lite.course.exercises.engine import INCORRECT
from m6rec_lite.course.exercises.question import load_exercise
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.report import markdown_table

PAGE, ROWS = Path("docs") / "exercises.md", Path("results") / "exercise_checks.csv"

_INTRODUCTION = """# The checks of the exercises, tested

A check must reject every wrong answer, and should say what is wrong with it. Two kinds of wrong
answers test it. *Mutants* are the solution with one change made by a program: a sign, a constant, a
comparison, a missing line. *Mistakes* are plausible wrong answers written by hand. A mutant that
computes the same as the solution is *equivalent*; `tests/exercises` gives the reason for each. The
*score* is the share of the other mutants that the check rejects. A mistake is *named* if the check
answers with a sentence about this mistake.

Exercises that ask for a value have no mutants. The page is written by code
(`python -m experiments exercise_checks`, at smoke scale).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no option: every exercise is counted."""


def run(options: argparse.Namespace) -> int:
    """Count, write table and page; return 1 if a check accepts a wrong answer."""
    notebooks = solution_notebooks(options.root)
    rows = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mutants divide by zero
        os.environ |= {"M6REC_SCALE": "smoke", "M6REC_RUN": folder, "TQDM_DISABLE": "1"}
        for name, path in tqdm(sorted(notebooks.items(), key=lambda pair: pair[1]), disable=False):
            rows.append({"lesson": path.stem[:2], "exercise": name} | count(name, options.root))
    frame = pd.DataFrame(rows)
    frame.to_csv(options.root / ROWS, index=False)
    write_text(options.root / PAGE, page(frame))
    accepted = frame[(frame["survivors"] > 0) | (frame["rejected mistakes"] < frame["mistakes"])]
    for name in accepted["exercise"]:
        print(f"{name}: its check accepts a wrong answer")
    return int(len(accepted) > 0)


def count(name: str, root: Path) -> dict[str, int]:
    """Return the numbers of wrong answers to an exercise, and of those that its check rejects."""
    exercise = load_exercise(name)
    numbers = {"mutants": 0, "equivalent": 0, "survivors": 0}
    if exercise.expected is None:
        report = grade_mutants(name, root)  # executes the solution, which stores its predictions
        numbers["mutants"] = report.n_mutants
        numbers["equivalent"] = len(report.equivalent)
        numbers["survivors"] = len(report.survivors)
    mistakes = [(known.answer, known.message) for known in exercise.known_wrong]
    mistakes += runpy.run_path(str(root / ANSWERS / f"{name}.py")).get("WRONG", ())
    verdicts = [(exercise.grade(answer), message) for answer, message in mistakes]
    rejected = [(verdict, message) for verdict, message in verdicts if verdict.outcome == INCORRECT]
    numbers["mistakes"], numbers["rejected mistakes"] = len(mistakes), len(rejected)
    numbers["named"] = sum(
        bool(message) and message in verdict.message for verdict, message in rejected
    )
    return numbers


def page(frame: pd.DataFrame) -> str:
    """Return the page: one row a lesson, and one for all.

    Args:
        frame: a row for each exercise: ``lesson``, ``exercise`` and the numbers of ``count``.
    """
    total = frame.assign(lesson="all")
    rows = []
    for lesson, some in pd.concat([frame, total]).groupby("lesson", sort=False):
        sums: dict[str, Any] = some.drop(columns=["lesson", "exercise"]).sum().to_dict()
        real = sums["mutants"] - sums["equivalent"]
        rows.append(
            {
                "lesson": lesson,
                "exercises": len(some),
                "mutants": sums["mutants"],
                "equivalent": sums["equivalent"],
                "score": f"{(real - sums['survivors']) / real:.1%}" if real else "–",
                "mistakes": sums["mistakes"],
                "rejected": sums["rejected mistakes"],
                "named": f"{sums['named'] / sums['mistakes']:.1%}" if sums["mistakes"] else "–",
            }
        )
    return f"{_INTRODUCTION}\n{markdown_table(pd.DataFrame(rows))}\n"
