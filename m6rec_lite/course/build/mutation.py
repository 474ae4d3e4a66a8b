"""Test the check of an exercise: it must reject every mutant of the solution.

    python -m m6rec_lite.course mutate hit_rate

A mutant that computes the same as the solution is listed in ``EQUIVALENT`` of
``tests/exercises/NAME.py``, with the reason. Any other mutant that passes the check survives: add a
case that rejects it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import runpy
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m6rec_lite.course.build.exercise_stubs import answer_cells
from m6rec_lite.course.build.mutants import Mutant, compile_mutant, mutants
from m6rec_lite.course.build.notebooks import read_notebook
from m6rec_lite.course.exercises.engine import CORRECT, INCORRECT
from m6rec_lite.course.exercises.question import exercise_names, load_exercise
from m6rec_lite.course.paths import chapters

#: Folder of what the tests know about each exercise.
ANSWERS = Path("tests") / "exercises"


@dataclass(frozen=True)
class MutationReport:
    """Mutants of the solution of one exercise.

    Attributes:
        name: name of the exercise.
        n_mutants: number of mutants graded.
        survivors: mutants that pass the check and are not declared equivalent.
        equivalent: reason by label of the mutants declared equivalent.
        unknown: labels declared equivalent that no mutant has.
    """

    name: str
    n_mutants: int
    survivors: tuple[Mutant, ...]
    equivalent: dict[str, str]
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.n_mutants} mutants, {len(self.survivors)} survive, "
            f"{len(self.equivalent)} declared equivalent"
        ]
        lines += [f"  survives, line {m.line}: {m.label}" for m in self.survivors]
        lines += [f"  equivalent: {label} ({why})" for label, why in self.equivalent.items()]
        lines += [f"  declared, but no such mutant: {label}" for label in self.unknown]
        return "\n".join(lines)


def grade_mutants(name: str, root: Path, *, every: int = 1) -> MutationReport:
    """Grade the mutants of a solution with the check of its exercise.

    Args:
        name: name of the exercise.
        root: the project's folder.
        every: grade every n-th mutant only, where one takes long.

    Raises:
        ValueError: if there is no such exercise, the answer is no function, or the solution itself
            does not pass.
    """
    if name not in exercise_names():
        raise ValueError(f"there is no exercise {name}; there are {', '.join(exercise_names())}")
    exercise = load_exercise(name)
    if exercise.expected is not None:
        raise ValueError(f"the answer to {name} is a value; only functions have mutants")
    names, sources = solution(name, root)
    source = "\n".join(sources)
    verdict = exercise.grade(compile_mutant(source, name, names))
    if verdict.outcome != CORRECT:
        raise ValueError(f"the solution of {name} does not pass its own check:\n{verdict}")
    declared = root / ANSWERS / f"{name}.py"
    known = runpy.run_path(str(declared)) if declared.is_file() else {}
    equivalent: dict[str, str] = known.get("EQUIVALENT", {})
    made = list(mutants(source, name))
    graded = made[::every]
    survivors = [
        mutant
        for mutant in graded
        if mutant.label not in equivalent
        and exercise.grade(compile_mutant(mutant.source, name, names)).outcome != INCORRECT
    ]
    labels = {mutant.label for mutant in made}
    unknown = tuple(label for label in equivalent if label not in labels)
    return MutationReport(name, len(graded), tuple(survivors), equivalent, unknown)


def mutate(names: list[str], root: Path) -> int:
    """Print the report of some exercises at smoke scale; return 1 if a mutant survives."""
    survived = False
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mutants divide by zero, and worse
        os.environ |= {"M6REC_SCALE": "smoke", "M6REC_RUN": folder, "TQDM_DISABLE": "1"}
        for name in names:
            report = grade_mutants(name, root)
            survived |= bool(report.survivors or report.unknown)
            print(report, flush=True)
    return int(survived)


def solution_notebooks(root: Path) -> dict[str, Path]:
    """Return the notebook that answers each exercise, by the exercise's name."""
    paths = chapters(root / "solutions")
    return {name: path for path in paths for name in answer_cells(read_notebook(path))}


def solution(name: str, root: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the names known where an exercise is answered, and the sources of its answer.

    The notebook is executed in this process, once, up to its last answer.

    Raises:
        ValueError: if no cell answers the exercise, or that cell does not define its name.
    """
    notebooks = solution_notebooks(root)
    if name not in notebooks:
        raise ValueError(f"no cell in solutions/ begins with '# exercise {name}'")
    known, sources = _executed(notebooks[name])
    if name not in known[name]:
        raise ValueError(f"the cell '# exercise {name}' does not define {name}")
    return known[name], sources[name]


def without_magics(source: str) -> str:
    """Replace IPython's lines of a cell by ``pass``."""
    return re.sub(r"^\s*[%!].*$", "pass", source, flags=re.MULTILINE)


@functools.cache
def _executed(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Return, by exercise, the names known after its cells, and the sources of these cells."""
    import matplotlib as mpl

    notebook = read_notebook(path)
    cells_of = answer_cells(notebook)
    last_cell_of = {cells[-1]: name for name, cells in cells_of.items()}
    known: dict[str, dict[str, Any]] = {}
    namespace: dict[str, Any] = {"__name__": "__main__"}
    mpl.use("agg")
    with contextlib.chdir(path.parent), contextlib.redirect_stdout(io.StringIO()):
        for index, cell in enumerate(notebook.cells[: max(last_cell_of, default=-1) + 1]):
            if cell.cell_type != "code":
                continue
            where = f"{path.name}, cell {index + 1}"
            exec(compile(without_magics(cell.source), where, "exec"), namespace)
            if index in last_cell_of:
                known[last_cell_of[index]] = dict(namespace)
    sources = {
        name: [notebook.cells[index].source for index in cells] for name, cells in cells_of.items()
    }
    return known, sources
