"""Executing one notebook: progress over its cells, seconds, peak memory, and nothing of paths.

Memory is that of the kernel and all its children together, sampled while it runs; on Linux the
kernel's own high-water mark is read too, so that a short peak is not missed.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from tqdm.auto import tqdm  # noqa: F401 - read before TQDM_DISABLE is set for the kernels

from m6rec_lite.course.leaderboard import write_atomically

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


@dataclass(frozen=True)
class Execution:
    """What executing a notebook gave.

    Attributes:
        notebook: the executed notebook, scrubbed; None if it could not even be read.
        seconds: wall clock, the kernel's start included.
        peak_mb: highest resident memory of the kernel and its children, in MB of 10**6 bytes.
        error: kind and message of what stopped it, in a line; "" when it ran through.
    """

    notebook: Any
    seconds: float
    peak_mb: float
    error: str


class MemoryWatch:
    """Peak resident memory of this process's children while the ``with`` block runs."""

    def __init__(self, interval: float = 0.05) -> None:
        self.peak_mb = 0.0
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        import psutil

        self._me = psutil.Process()
        self._before = {child.pid for child in self._me.children(recursive=True)}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        while not self._stop.wait(self._interval):
            total = 0.0
            for child in self._me.children(recursive=True):
                if child.pid in self._before:
                    continue
                try:
                    total += child.memory_info().rss
                    self.peak_mb = max(self.peak_mb, _high_water(child.pid) / 1e6)
                except psutil.Error:  # it ended meanwhile
                    continue
            self.peak_mb = max(self.peak_mb, total / 1e6)


def _high_water(pid: int) -> float:
    """The process's own peak resident memory in bytes where /proc tells it, else 0."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0.0


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
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    error = ""
    started = time.perf_counter()
    with environment(KERNEL_ENVIRONMENT | dict(variables or {})), MemoryWatch() as memory:
        try:
            papermill.execute_notebook(
                str(path),
                str(target),
                parameters=dict(parameters or {}),
                kernel_name="python3",
                language="python",
                progress_bar=bar,
                cwd=str(path.parent),
                request_save_on_cell_execute=False,
                extra_arguments=["--log-level=CRITICAL"],
            )
        except papermill.exceptions.PapermillExecutionError as failure:
            error = f"cell {failure.exec_count}: {failure.ename}: {failure.evalue}"
        except Exception as failure:  # a dead kernel, a notebook that is none: the others still run
            error = f"{type(failure).__name__}: {failure}"
    seconds = time.perf_counter() - started
    notebook = None
    if target.exists():
        notebook = scrub(nbformat.read(target, as_version=4))
        write_notebook(notebook, target)
    return Execution(notebook, seconds, memory.peak_mb, " ".join(error.split())[:500])


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
    write_atomically(path, nbformat.writes(notebook).rstrip("\n") + "\n")
