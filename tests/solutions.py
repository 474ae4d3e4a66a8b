"""The solution notebooks: what is defined where an exercise is answered."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat

from m6rec_lite.course.build.exercise_stubs import answer_cells
from m6rec_lite.course.paths import chapters

ROOT = Path(__file__).resolve().parents[1]

#: Other answers to each exercise, NAME.py.
ANSWERS = ROOT / "tests" / "exercises"

#: The solution notebook of each exercise.
SOLUTIONS = {
    name: path
    for path in chapters(ROOT / "solutions")
    for name in answer_cells(nbformat.read(path, as_version=4))
}


def plain(source: str) -> str:
    """A cell without its IPython lines."""
    return re.sub(r"^\s*[%!].*$", "pass", source, flags=re.MULTILINE)


@functools.cache
def answers(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """By exercise, the names known once its cells have run, and the sources of these cells.

    The notebook runs here at smoke scale, from the top to the last cell that answers something.
    """
    notebook = nbformat.read(path, as_version=4)
    places = answer_cells(notebook)
    last_of = {cells[-1]: number for number, cells in places.items()}
    known: dict[str, dict[str, Any]] = {}
    namespace: dict[str, Any] = {"__name__": "__main__"}
    mpl.use("agg")
    with contextlib.chdir(path.parent), contextlib.redirect_stdout(io.StringIO()):
        for place, cell in enumerate(notebook.cells[: max(last_of, default=-1) + 1]):
            if cell.cell_type != "code":
                continue
            exec(compile(plain(cell.source), f"{path.name}, cell {place + 1}", "exec"), namespace)
            if place in last_of:
                known[last_of[place]] = dict(namespace)
    sources = {
        number: [notebook.cells[p].source for p in cells] for number, cells in places.items()
    }
    return known, sources


def solution(name: str) -> tuple[dict[str, Any], list[str]]:
    """What the notebook knows where an exercise is answered, and the sources of its answer."""
    known, sources = answers(SOLUTIONS[name])
    assert name in known[name], f"that cell does not define {name}"
    return known[name], sources[name]
