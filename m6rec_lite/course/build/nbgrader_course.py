"""Write the exercises as a course folder of nbgrader, which hands them out and grades them.

``python -m m6rec_lite.course nbgrader FOLDER`` writes an assignment for each lesson with exercises,
``source/NN_name/NN_name.ipynb``, and ``nbgrader_config.py``. From there nbgrader's own commands go
on: ``nbgrader generate_assignment NN_name``, ``nbgrader autograde NN_name``.

A cell with an answer, or with a prediction, is a solution cell, whose regions nbgrader clears. The
cell that checks an exercise becomes a graded test, named after the exercise; it is locked, so
nbgrader restores it in every submission before it runs.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from m6rec_lite.course.build.exercise_stubs import BEGIN, TODO, answer_cells, to_exercise
from m6rec_lite.course.build.notebooks import read_notebook, write_notebook
from m6rec_lite.course.learner_progress import CHECK
from m6rec_lite.course.paths import chapters
from m6rec_lite.data.files import write_text

#: Points of an exercise whose answer is a value, or a function or class; of a stored prediction.
VALUE_POINTS, FUNCTION_POINTS, PREDICTION_POINTS = 1, 2, 1

#: A link to a lesson, which does not lie beside the assignment.
LESSON_LINK = re.compile(r"\[([^\]]+)\]\(\.\./notebooks/[^)]+\)")

GRADED = """\
# Graded: a wrong answer raises. Warnings go to stdout, since nbgrader gives no points for stderr.
import contextlib, os, sys

os.environ["M6REC_STRICT"] = "1"
with contextlib.redirect_stderr(sys.stdout):
"""

CONFIG = f'''\
"""Settings of nbgrader for this course; change them freely, they are not written again."""

import os

c = get_config()
c.CourseDirectory.course_id = "m6rec"
c.ClearSolutions.code_stub = {{"python": 'raise NotImplementedError("{TODO}")'}}
c.Execute.timeout = 300  # seconds for one cell

# While nbgrader grades: small sizes, and stored predictions beside the submission they belong to.
os.environ.setdefault("M6REC_SCALE", "smoke")
os.environ["M6REC_RUN"] = "run"
'''


def exercise_points(solution: Any) -> dict[str, int]:
    """Return the points of each exercise of a solution notebook, by name.

    A value counts 1, a function or class 2, and a prediction stored before the measurement 1 more.
    """
    code = "\n".join(cell.source for cell in solution.cells if cell.cell_type == "code")
    result = {}
    for name, indices in answer_cells(solution).items():
        answer = "\n".join(solution.cells[i].source for i in indices)
        defines = re.search(r"^(?:def|class) ", answer, re.MULTILINE)
        result[name] = FUNCTION_POINTS if defines else VALUE_POINTS
        if f'course.predict("{name}"' in code:
            result[name] += PREDICTION_POINTS
    return result


def to_assignment(solution: Any, source: str) -> Any:
    """Convert a solution notebook to a source notebook of nbgrader.

    Args:
        solution: an ``nbformat`` notebook.
        source: file name of the solution, for error messages.

    Returns:
        A new notebook with the metadata of nbgrader, still with the answers.

    Raises:
        ValueError: if an exercise does not have exactly one cell that checks it.
        RegionError: if the delimiters of an answer are not in pairs.
    """
    notebook = to_exercise(solution, source)
    sources = {cell.id: cell.source for cell in solution.cells}
    worth = exercise_points(solution)
    checks: Counter[str] = Counter()
    for cell in notebook.cells:
        cell.source = sources[cell.id]
        if cell.cell_type != "code":
            cell.source = LESSON_LINK.sub(r"\1", cell.source)
        elif BEGIN in cell.source:
            cell.metadata["nbgrader"] = _marks(f"answer-{cell.id}", solution=True)
        elif (check := CHECK.search(cell.source)) and check[1] in worth:
            checks[check[1]] += 1
            cell.source = GRADED + textwrap.indent(cell.source, "    ")
            cell.metadata["nbgrader"] = _marks(check[1], points=worth[check[1]])
    if wrong := [name for name in worth if checks[name] != 1]:
        raise ValueError(
            f"{source}: nbgrader needs one cell with course.exercise(NAME).check(…) for each "
            f"exercise, without an answer in it; that does not hold for {', '.join(wrong)}"
        )
    return notebook


def _marks(grade_id: str, *, solution: bool = False, points: int | None = None) -> dict[str, Any]:
    """Return nbgrader's metadata (schema 3) of a solution cell, or of a test worth ``points``."""
    graded = {} if points is None else {"points": points}
    return {
        "schema_version": 3,
        "grade_id": grade_id,
        "solution": solution,
        "grade": points is not None,
        "locked": points is not None,
        "task": False,
    } | graded


def write_course(folder: Path, root: Path, numbers: str | None = None) -> dict[Path, int]:
    """Write the course folder; return its assignments, each with the sum of its points.

    A ``nbgrader_config.py`` that exists is kept.

    Args:
        folder: the course folder, made if it is missing.
        root: the project's folder, with ``solutions/``.
        numbers: lessons, such as ``00,02``; None for all.

    Raises:
        FileNotFoundError: if there are no solutions.
    """
    paths = chapters(root / "solutions", numbers)
    if not paths:
        raise FileNotFoundError(
            f"no solutions/NN_….ipynb in {root}; they come with the course's repository: start "
            "the command in its folder"
        )
    written = {}
    for path in paths:
        solution = read_notebook(path)
        assignment = folder / "source" / path.stem / path.name
        write_notebook(to_assignment(solution, path.name), assignment)
        written[assignment] = sum(exercise_points(solution).values())
    config = folder / "nbgrader_config.py"
    if not config.exists():
        write_text(config, CONFIG)
    return written
