"""Execute one notebook and measure its seconds and peak memory."""

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

from tqdm.auto import tqdm  # noqa: F401 - read before TQDM_DISABLE is set for the kernels

from m6rec_lite.course.build.notebooks import read_notebook, scrub, write_notebook
from m6rec_lite.data import DataError
from m6rec_lite.evaluation import Meter

#: Environment variables of every kernel. No progress bars in stored outputs: tqdm's widgets ignore
#: ``TQDM_DISABLE``, but a variable that begins with SPYDER makes tqdm write text instead. Use the
#: kernel of this environment, not of the user's home. No debugger warning about frozen modules.
KERNEL_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "SPYDER_WIDGETS": "none",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}

#: Out-of-memory messages of Python, torch, numpy and the operating system.
NO_MEMORY = re.compile(
    r"MemoryError|can't allocate memory|cannot allocate memory|not enough memory|out of memory|"
    r"unable to allocate|bad_alloc",
    re.IGNORECASE,
)

MEMORY_REMEDY = "close other programs, or take a smaller scale (--scale smoke)"


@dataclass(frozen=True)
class Execution:
    """Result of executing a notebook.

    Attributes:
        notebook: the executed notebook, scrubbed; None if it could not be read.
        seconds: wall-clock time, including the kernel's start.
        peak_mib: peak resident memory of the kernel and its children, in MiB, of samples taken
            five times a second.
        error: type and message of the error in one line; "" if there was none.
    """

    notebook: Any
    seconds: float
    peak_mib: float
    error: str


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the block and restore them after it."""
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
    """Execute a notebook and write the result to ``target``; errors are returned, not raised.

    Args:
        path: the notebook. It runs in its own folder, as in Jupyter.
        target: path of the executed copy, which is written also if a cell fails.
        parameters: values set after the cell tagged ``parameters``.
        variables: further environment variables of the kernel.
        progress: whether to show a progress bar over the cells.
        line: terminal line of the progress bar, counted from 0.
    """
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    bar = {"desc": path.stem, "position": line, "leave": False} if progress else False
    notebook, errors = None, []
    kernel_environment = environment(KERNEL_ENVIRONMENT | dict(variables or {}))
    with kernel_environment, Meter(children=True, interval=0.2) as meter:
        try:
            read_notebook(path)
            with tempfile.TemporaryDirectory() as folder:  # target is replaced when complete
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
                        with suppress(DataError):  # the disk was full, which is the error reported
                            notebook = scrub(read_notebook(executed))
        except Exception as failure:  # one notebook must not stop the others
            errors.append(_reason(failure, notebook))
    if notebook is not None:
        try:
            write_notebook(notebook, target)
        except OSError as failure:
            errors.append(f"OSError: {failure}")
    error = " ".join("; ".join(errors).split())[:500]
    return Execution(notebook, meter.cost.seconds, meter.cost.peak_mib, error)


def _reason(failure: Exception, notebook: Any) -> str:
    """Describe an error: the cell, the type of error, and a remedy if one is known."""
    from papermill.exceptions import PapermillExecutionError

    cell, kind, message = "", type(failure).__name__, str(failure)
    if isinstance(failure, PapermillExecutionError):
        cell, kind, message = f"cell {failure.exec_count}: ", failure.ename, str(failure.evalue)
    if isinstance(failure, OSError) and failure.filename is None:
        message += f" (temporary files are in {tempfile.gettempdir()})"
    written = "".join(
        output.get("text", "") + "\n".join(output.get("traceback", ()))
        for cell in (notebook.cells if notebook is not None else ())
        for output in cell.get("outputs", ())
        if output.output_type == "error" or output.get("name") == "stderr"
    )
    dead = kind == "DeadKernelError"
    if NO_MEMORY.search(f"{kind}: {message}") or (
        (not message or dead) and NO_MEMORY.search(written)
    ):
        return f"{cell}MemoryError: {message or 'the kernel ran out of memory'}; {MEMORY_REMEDY}"
    if dead:
        return f"{kind}: {message}. Usually the system ran out of memory; {MEMORY_REMEDY}"
    return f"{cell}{kind}: {message}"
