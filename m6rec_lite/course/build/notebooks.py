"""Read, write and clean notebook files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat

from m6rec_lite.course.paths import chapters
from m6rec_lite.data import DataError
from m6rec_lite.data.files import write_text

#: Metadata that tools write about one run: times and paths of one machine.
SCRUBBED_NOTEBOOK = ("papermill", "widgets", "toc", "varInspector")
SCRUBBED_CELL = ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled")

#: A tqdm progress bar, ``EASE:  45%|████▌     | 2048/4540 [00:02<00:03, 820user/s]``,
#: or, without a known length, ``rows: 1024it [00:02, 500it/s]``.
BAR = re.compile(r"(?:.*?: *)?(?:\d+%\|.*\| *)?[\d.]+\S*(?:/\S+)? ?\S* \[\d\d:\d\d.*\]")


def stored_notebooks(root: Path) -> list[Path]:
    """Return all lessons and solutions of the project."""
    return [*chapters(root / "notebooks"), *chapters(root / "solutions")]


def read_notebook(path: Path) -> Any:
    """Read and validate a notebook.

    Raises:
        DataError: if the file is not a notebook.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        return notebook
    except OSError:
        raise
    except Exception as error:  # nbformat raises exceptions of many types
        fault = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} is not a Jupyter notebook ({type(error).__name__}: {fault}): restore it from "
            "a copy (git checkout, if it is tracked), or remove it"
        ) from error


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook atomically, with a newline at its end."""
    write_text(path, nbformat.writes(notebook).rstrip("\n") + "\n")


def tags(cell: Any) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def scrub(notebook: Any) -> Any:
    """Remove metadata about one run on one machine, in place; return the notebook."""
    for name in SCRUBBED_NOTEBOOK:
        notebook.metadata.pop(name, None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }
    # without the version of Python, which differs between machines
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for name in SCRUBBED_CELL:
            cell.metadata.pop(name, None)
        if not cell.metadata.get("tags", ["keep"]):
            cell.metadata.pop("tags")
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_bar(output)]
    return notebook


def _is_bar(output: Any) -> bool:
    """Return whether an output contains only progress bars.

    They appear on a slow machine, where a step takes longer than the delay of the bar.
    """
    if output.output_type != "stream" or output.name != "stderr":
        return False
    lines = re.split(r"[\r\n]|\x1b\[A", output.text)
    return all(BAR.fullmatch(line.strip()) for line in lines if line.strip())
