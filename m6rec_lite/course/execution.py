"""Executing one notebook: progress over its cells, seconds, peak memory, and nothing of paths."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from tqdm.auto import tqdm  # noqa: F401 - read before TQDM_DISABLE is set for the kernels

from m6rec_lite.course.files import read_notebook
from m6rec_lite.data import DataError
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation import Meter

#: Set for every kernel. No progress bars in stored outputs: tqdm's widgets ignore ``TQDM_DISABLE``,
#: and any name that begins with SPYDER makes tqdm write text, which heeds it, or else is scrubbed.
#: The kernel of this environment, not of the user's home. No remark of the debugger on frozen
#: modules.
KERNEL_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "SPYDER_WIDGETS": "none",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}

#: Metadata that tools write into a notebook about one run: times and paths of one machine.
SCRUBBED_NOTEBOOK = ("papermill", "widgets", "toc", "varInspector")
SCRUBBED_CELL = ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled")

#: A progress bar as tqdm writes it, ``EASE:  45%|████▌     | 2048/4540 [00:02<00:03, 820user/s]``,
#: or, of unknown length, ``rows: 1024it [00:02, 500it/s]``.
BAR = re.compile(r"(?:.*?: *)?(?:\d+%\|.*\| *)?[\d.]+\S*(?:/\S+)? ?\S* \[\d\d:\d\d.*\]")

#: How Python, torch, numpy and the system say that there is no memory left.
NO_MEMORY = re.compile(
    r"MemoryError|can't allocate memory|cannot allocate memory|not enough memory|out of memory|"
    r"unable to allocate|bad_alloc",
    re.IGNORECASE,
)

LESS_MEMORY = "close other programs, or take a smaller scale (--scale smoke)"


@dataclass(frozen=True)
class Execution:
    """What executing a notebook gave.

    Attributes:
        notebook: the executed notebook, scrubbed; None if it could not even be read.
        seconds: wall clock, the kernel's start included.
        peak_mib: highest resident memory of the kernel and its children, in MiB.
        error: kind and message of what stopped it, in a line; "" when it ran through.
    """

    notebook: Any
    seconds: float
    peak_mib: float
    error: str


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables set for the block and put back after it."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def execute(
    path: Path,
    target: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    progress: bool = True,
    line: int = 0,
) -> Execution:
    """Execute a notebook into ``target``; a failure is reported, not raised.

    Args:
        path: the notebook. It runs in its own folder, as it does in Jupyter.
        target: where the executed copy goes, as far as it came.
        parameters: set after the cell tagged ``parameters``.
        variables: further environment variables for the kernel.
        progress: show a bar over the cells.
        line: of the terminal that the bar is drawn on, below another one.
    """
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    bar = {"desc": path.stem, "position": line, "leave": False} if progress else False
    notebook, errors = None, []
    set_here = environment(KERNEL_ENVIRONMENT | dict(variables or {}))
    with set_here, Meter(children=True, interval=0.05) as meter:
        try:
            read_notebook(path)
            with (
                tempfile.TemporaryDirectory() as folder
            ):  # the old copy stays until this one is whole
                executed = Path(folder) / target.name
                try:
                    papermill.execute_notebook(
                        str(path),
                        str(executed),
                        parameters=dict(parameters or {}),
                        kernel_name="python3",
                        language="python",
                        progress_bar=bar,
                        cwd=str(path.parent),
                        request_save_on_cell_execute=False,
                        extra_arguments=["--log-level=CRITICAL"],
                    )
                finally:
                    if executed.exists():
                        with suppress(DataError):  # cut off by a full disk, whose error says so
                            notebook = scrub(read_notebook(executed))
        except Exception as failure:  # whatever one notebook does, the others still run
            errors.append(_reason(failure, notebook))
    if notebook is not None:
        try:
            write_notebook(notebook, target)
        except OSError as failure:
            errors.append(f"OSError: {failure}")
    error = " ".join("; ".join(errors).split())[:500]
    return Execution(notebook, meter.cost.seconds, meter.cost.peak_mib, error)


def _reason(failure: Exception, notebook: Any) -> str:
    """What stopped a notebook: the cell, the kind of error, and what to do where that is known."""
    where, kind, said = "", type(failure).__name__, str(failure)
    if hasattr(failure, "ename"):  # a cell raised
        where, kind, said = f"cell {failure.exec_count}: ", failure.ename, str(failure.evalue)
    if isinstance(failure, OSError) and failure.filename is None:
        said += f" (temporary files lie in {tempfile.gettempdir()})"
    written = "".join(
        output.get("text", "") + "\n".join(output.get("traceback", ()))
        for cell in (notebook.cells if notebook is not None else ())
        for output in cell.get("outputs", ())
        if output.output_type == "error" or output.get("name") == "stderr"
    )
    dead = kind == "DeadKernelError"
    if NO_MEMORY.search(f"{kind}: {said}") or ((not said or dead) and NO_MEMORY.search(written)):
        return f"{where}MemoryError: {said or 'the kernel had no memory left'}; {LESS_MEMORY}"
    if dead:
        return f"{kind}: {said}. Most often the system ended it for want of memory; {LESS_MEMORY}"
    return f"{where}{kind}: {said}"


def scrub(notebook: Any) -> Any:
    """The notebook without metadata about one run on one machine; changed in place."""
    for name in SCRUBBED_NOTEBOOK:
        notebook.metadata.pop(name, None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }
    # the patch version of the Python that ran it says nothing and changes with every machine
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
    """Whether an output is nothing but the traces of progress bars: news while it ran, no longer.

    They come on a slow machine, where a step takes more than the two seconds that show a bar.
    """
    if output.output_type != "stream" or output.name != "stderr":
        return False
    lines = re.split(r"[\r\n]|\x1b\[A", output.text)
    return all(BAR.fullmatch(line.strip()) for line in lines if line.strip())


def write_notebook(notebook: Any, path: Path) -> None:
    """Write a notebook whole or not at all, with a newline at its end."""
    write_text(path, nbformat.writes(notebook).rstrip("\n") + "\n")
