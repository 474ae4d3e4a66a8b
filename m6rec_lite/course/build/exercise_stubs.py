"""Generate exercise notebooks from solutions: regions of the answer are replaced by stubs.

``solutions/NN_name.ipynb`` is the only source. A region is delimited by ``### BEGIN SOLUTION`` and
``### END SOLUTION``, as in nbgrader. ``course.exercises.engine`` has an example.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from m6rec_lite.course.build.notebooks import read_notebook, tags
from m6rec_lite.course.paths import chapters, project_root

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

#: Comment at the start of a cell with the answer to an exercise.
NAMED = re.compile(r"\A\s*#\s*exercise[ \t]+([a-z]\w*)[ \t]*(?:\n|\Z)")

#: Tag of cells that are not part of the exercises.
SOLUTION_ONLY = "solution-only"

TODO = "your turn: replace this line, then run the cell again"


class RegionError(ValueError):
    """The delimiters of a solution are not in pairs, or a region is not valid Python."""


def stub(source: str, where: str = "cell") -> str:
    """Replace the solution regions of a code cell with stubs.

    An indented region becomes ``raise NotImplementedError(…)``; one at the left margin becomes
    ``name = ...`` for each name that it assigns or defines.

    Args:
        source: source of a code cell.
        where: name of the cell for error messages.

    Raises:
        RegionError: if a delimiter is missing.
    """
    lines: list[str] = []
    region: list[str] | None = None
    for line in source.split("\n"):
        if line.strip() == BEGIN:
            if region is not None:
                raise RegionError(f"{where}: a second '{BEGIN}' before '{END}'")
            region, indent = [], line[: len(line) - len(line.lstrip())]
        elif line.strip() == END:
            if region is None:
                raise RegionError(f"{where}: '{END}' without '{BEGIN}'")
            lines += _stub_lines(region, indent, where)
            region = None
        elif region is not None:
            region.append(line)
        else:
            lines.append(line)
    if region is not None:
        raise RegionError(f"{where}: '{BEGIN}' without '{END}'")
    return "\n".join(lines)


def _stub_lines(region: list[str], indent: str, where: str) -> list[str]:
    """Return the lines that replace a region."""
    if indent:
        return [f'{indent}raise NotImplementedError("{TODO}")']
    names = _assigned("\n".join(region), where)
    if not names:
        raise RegionError(f"{where}: the region assigns no name, so nothing could be checked")
    return [f"{name} = ...  # {TODO.partition(':')[0]}" for name in names]


def _assigned(source: str, where: str) -> list[str]:
    """Return the names that the top-level statements assign or define, in order."""
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


def to_exercise(solution: Any, source: str) -> Any:
    """Convert a solution notebook to an exercise notebook: with stubs, without outputs.

    Args:
        solution: an ``nbformat`` notebook.
        source: file name of the solution, written to the metadata.

    Returns:
        A new notebook with the same cell ids.
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
        # other metadata (times, collapsed cells) belong to one run or one reader
        cell.metadata = {"tags": tags(cell)} if tags(cell) else {}
        if cell.cell_type == "code":
            cell.source = stub(cell.source, f"{source}, cell {i + 1}")
            cell.outputs, cell.execution_count = [], None
        notebook.cells.append(cell)
    return nbformat.from_dict(notebook)


def generate(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield path and text of the exercise notebook of every solution."""
    for path in chapters(root / "solutions"):
        notebook = read_notebook(path)
        text = nbformat.writes(to_exercise(notebook, path.name)) + "\n"
        yield root / "exercises" / path.name, text


def answer_cells(notebook: Any) -> dict[str, list[int]]:
    """Return the indices of the cells that answer each exercise, by its name."""
    cells: dict[str, list[int]] = {}
    for i, cell in enumerate(notebook.cells):
        match = NAMED.match(cell.source) if cell.cell_type == "code" else None
        if match:
            cells.setdefault(match.group(1), []).append(i)
    return cells


def solution_source(name: str, root: Path | None = None) -> str:
    """Return the source of the cells that answer an exercise, without delimiters.

    Raises:
        FileNotFoundError: if there are no solutions.
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
