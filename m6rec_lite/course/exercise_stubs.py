"""From solutions to exercises: the marked regions, their stubs, and the source of an answer.

``solutions/NN_name.ipynb`` is the only source. A region lies between ``### BEGIN SOLUTION`` and
``### END SOLUTION`` (the marks of nbgrader). ``course.exercises.engine`` shows
the form.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from m6rec_lite.course.files import read_notebook
from m6rec_lite.course.paths import chapters, project_root

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

#: A cell that starts with this comment holds the answer to that exercise.
NAMED = re.compile(r"\A\s*#\s*exercise[ \t]+([a-z]\w*)[ \t]*(?:\n|\Z)")

#: Cells with this tag stay out of the exercises.
SOLUTION_ONLY = "solution-only"

TODO = "your turn: replace this line, then run the cell again"


class RegionError(ValueError):
    """The marks of a solution do not pair up, or a cell is not Python."""


def stub(source: str, where: str = "cell") -> str:
    """The source with its solution regions replaced by stubs.

    A region inside a function becomes ``raise NotImplementedError(…)``; one at the left margin
    becomes ``name = ...`` for each name that it assigned or defined.

    Args:
        source: of one code cell.
        where: the cell, for the error.

    Raises:
        RegionError: if a mark lacks its partner.
    """
    kept: list[str] = []
    region: list[str] | None = None
    for line in source.split("\n"):
        if line.strip() == BEGIN:
            if region is not None:
                raise RegionError(f"{where}: a second '{BEGIN}' before '{END}'")
            region, indent = [], line[: len(line) - len(line.lstrip())]
        elif line.strip() == END:
            if region is None:
                raise RegionError(f"{where}: '{END}' without '{BEGIN}'")
            kept += _stub_lines(region, indent, where)
            region = None
        elif region is not None:
            region.append(line)
        else:
            kept.append(line)
    if region is not None:
        raise RegionError(f"{where}: '{BEGIN}' without '{END}'")
    return "\n".join(kept)


def _stub_lines(region: list[str], indent: str, where: str) -> list[str]:
    """What stands in the exercise where the region stood."""
    if indent:
        return [f'{indent}raise NotImplementedError("{TODO}")']
    names = _assigned("\n".join(region), where)
    if not names:
        raise RegionError(f"{where}: the region assigns no name, so nothing could be checked")
    return [f"{name} = ...  # {TODO.partition(':')[0]}" for name in names]


def _assigned(source: str, where: str) -> list[str]:
    """Names that the outermost statements assign, define or import, in order."""
    try:
        statements = ast.parse(textwrap.dedent(source)).body
    except SyntaxError as error:
        raise RegionError(f"{where}: the region is not Python: {error}") from error
    names: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.append(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names += [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return list(dict.fromkeys(names))


def tags(cell: Any) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def to_exercise(solution: Any, source: str) -> Any:
    """The exercise notebook of a solution notebook: stubs, no outputs, nothing solution-only.

    Args:
        solution: an ``nbformat`` notebook.
        source: the solution's file name, noted in the metadata.

    Returns:
        A new notebook; cell ids stay.
    """
    notebook = nbformat.v4.new_notebook()
    notebook.metadata = {
        key: solution.metadata[key] for key in ("kernelspec", "language_info")
        if key in solution.metadata
    } | {"m6rec": {"generated_from": f"solutions/{source}"}}  # fmt: skip
    for i, cell in enumerate(solution.cells):
        if SOLUTION_ONLY in tags(cell):
            continue
        cell = nbformat.from_dict(dict(cell))
        # only tags stay: what else metadata hold (timings, folds) belongs to one run or one reader
        cell.metadata = {"tags": tags(cell)} if tags(cell) else {}
        if cell.cell_type == "code":
            cell.source = stub(cell.source, f"{source}, cell {i + 1}")
            cell.outputs, cell.execution_count = [], None
        notebook.cells.append(cell)
    return nbformat.from_dict(notebook)


def generate(root: Path) -> Iterator[tuple[Path, str]]:
    """For every solution, the path and the text of its exercise notebook."""
    for path in chapters(root / "solutions"):
        notebook = read_notebook(path)
        text = nbformat.writes(to_exercise(notebook, path.name)) + "\n"
        yield root / "exercises" / path.name, text


def answer_cells(notebook: Any) -> dict[str, list[int]]:
    """Indices of the cells that answer each exercise, by its name."""
    cells: dict[str, list[int]] = {}
    for i, cell in enumerate(notebook.cells):
        named = NAMED.match(cell.source) if cell.cell_type == "code" else None
        if named:
            cells.setdefault(named.group(1), []).append(i)
    return cells


def solution_source(name: str, root: Path | None = None) -> str:
    """The source of the cells that answer an exercise, marks taken out.

    Raises:
        FileNotFoundError: if the solutions do not lie beside the package.
        ValueError: if no solution answers that exercise.
    """
    paths = chapters((root or project_root()) / "solutions")
    if not paths:
        raise FileNotFoundError(
            "no solutions/NN_….ipynb here; solutions come with the course's repository: start "
            "Jupyter in its folder"
        )
    for path in paths:
        notebook = read_notebook(path)
        if cells := answer_cells(notebook).get(name):
            lines = "\n\n".join(notebook.cells[i].source for i in cells).split("\n")
            return "\n".join(line for line in lines if line.strip() not in (BEGIN, END))
    raise ValueError(f"no cell in solutions/ begins with '# exercise {name}'")
