"""Run the course: execute every lesson, measure it, check its bounds, and write its page.

A failure does not stop the run; it is reported at the end and by the exit code. Lessons run one
after the other, so that their seconds are comparable, unless several ``jobs`` are asked for. A run
writes to one folder::

    runs/bazaar-smoke/
        index.html            the leaderboard, the tables, and a link to each lesson's page
        chapters.csv          seconds, peak memory, bounds and errors: one row a lesson
        leaderboard/          the metrics that the lessons measured
        notebooks/ pages/     the executed copies, as notebooks and as HTML

All files are written atomically, and a row replaces the one of the same lesson, so a killed run
can be started again; with ``--resume`` it skips finished lessons. Two runs may share a folder.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.course.asserted_metrics import recorded
from m6rec_lite.course.build.execution import MEMORY_REMEDY, Execution, execute
from m6rec_lite.course.build.needs import lacking
from m6rec_lite.course.build.notebooks import read_notebook
from m6rec_lite.course.build.pages import bounds_held, write_index, write_page
from m6rec_lite.course.build.quick_models import measure_quick_models
from m6rec_lite.course.build.staleness import freshness
from m6rec_lite.course.leaderboard import COMMAND_VARIABLE, RUN_VARIABLE, Leaderboard
from m6rec_lite.course.paths import chapters, project_root
from m6rec_lite.course.scale import SCALE_VARIABLE
from m6rec_lite.data import DataError
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import locked, read_rows
from m6rec_lite.data.text_lines import base_name

#: Columns of ``chapters.csv``. ``code`` is the hash of the lesson's code and data.
COLUMNS: tuple[str, ...] = (
    "chapter", "status", "seconds", "peak_mib", "bounds_held", "bounds", "broken", "error",
    "dataset", "scale", "seed", "code",
)  # fmt: skip

FINISHED, FAILED, BROKEN, LEFT_OUT = "finished", "failed", "bound broken", "left out"

#: Columns read as text even if they are empty or look like numbers.
TEXT_COLUMNS: tuple[str, ...] = (
    "chapter", "status", "broken", "error", "dataset", "scale", "code",
)  # fmt: skip


def run(
    *,
    scale: str,
    dataset: str = "bazaar",
    seed: int = 0,
    numbers: str | None = None,
    out: Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    quick_models: bool = False,
    root: Path | None = None,
    progress: bool = True,
) -> int:
    """Execute lessons and report on them.

    A lesson that needs what the data set lacks is left out, and the report says what is lacking.

    Args:
        scale: ``smoke``, ``laptop`` or ``gpu``.
        dataset: passed to every lesson as ``DATASET``.
        seed: passed to every lesson as ``SEED``.
        numbers: numbers of lessons such as ``00,01``; all if None.
        out: output folder; ``runs/<dataset>-<scale>`` if None.
        resume: skip lessons that finished with the current code at the same scale and seed.
        jobs: number of lessons that run at the same time, each with its share of the processor's
            cores. A lesson then shows, of what others add to the leaderboard, only what is there.
        quick_models: evaluate ``quick_models`` on all users, for the leaderboard.
        root: the project's folder.
        progress: whether to show progress bars over lessons and cells.

    Returns:
        0 if every lesson that could run finished, every bound holds and every file was written,
        else 1.

    Raises:
        ValueError: if there is no lesson to run, no such number, or no job.
        DataError: if the data set cannot be read, or no lesson can run on it.
    """
    root = root or project_root()
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    paths = chapters(root / "notebooks", numbers)
    if not paths:
        raise ValueError(
            f"no chapters in {root.name}/notebooks/; run this in the folder of the course"
        )
    name = base_name(Path(dataset)) or dataset
    out = (out or root / "runs" / f"{name}-{scale}").resolve()
    # a relative path is relative to the current folder, not to that of the lessons
    dataset = str(Path(dataset).resolve()) if Path(dataset).exists() else dataset
    lacks = lacking(dataset, [path.name[:2] for path in paths])
    if len(lacks) == len(paths):
        raise DataError(
            f"{name}: no chapter can run on it. "
            + "; ".join(f"{number} needs {', '.join(words)}" for number, words in lacks.items())
        )
    report = _Report(out, root, name, {"dataset": dataset, "scale": scale, "seed": seed})
    command = f"python -m m6rec_lite.course run --scale {scale} --dataset {name} --seed {seed}"
    before = report.earlier_rows()
    bar = tqdm(total=len(paths), desc="chapters", unit="chapter", disable=not progress, leave=False)
    codes: dict[str, str] = {}
    tasks: list[_Task] = []
    for path in paths:
        number, earlier = path.name[:2], before.get(path.stem, {})
        code = codes[path.stem] = "" if number in lacks else _code(path, root)
        if number in lacks:
            error = f"{name} lacks what the chapter needs: {', '.join(lacks[number])}"
            row = _row(path.stem, Execution(None, 0.0, 0.0, error)) | {"status": LEFT_OUT}
            report.rows[path.stem] = row | report.settings | {"code": ""}
            bar.write(_line(report.rows[path.stem]), file=sys.stderr)
        elif resume and earlier.get("status") == FINISHED and code and earlier.get("code") == code:
            report.rows[path.stem] = earlier
            bar.write(f"{path.stem}: finished before", file=sys.stderr)
        else:
            variables = {
                SCALE_VARIABLE: scale,
                RUN_VARIABLE: str(out),
                COMMAND_VARIABLE: f"{command} --chapters {number}",
            }
            tasks.append((path, out / "notebooks" / path.name, report.settings, variables))
    bar.update(len(paths) - len(tasks))
    for path, result in _executed(tasks, jobs, progress):
        row = _row(path.stem, result) | report.settings | {"code": codes[path.stem]}
        if result.notebook is not None:
            page = out / "pages" / f"{path.stem}.html"
            if fault := _fault(write_page, result.notebook, page, path, root):
                error = "; ".join(filter(None, (row["error"], fault)))
                row |= {"status": FAILED, "error": error}
        report.rows[path.stem] = row
        fault = _fault(report.save)
        bar.write(_line(row) + (f"; {fault}" if fault else ""), file=sys.stderr)
        bar.update()
    bar.close()
    faults = []
    if quick_models:
        options = {"scale": scale, "seed": seed, "command": command}
        faults.append(_fault(measure_quick_models, dataset, report.board, **options))
    faults += [_fault(report.save), _fault(report.write_index)]
    faults = [fault for fault in faults if fault]
    report.show(faults)
    fine = all(row["status"] in (FINISHED, LEFT_OUT) for row in report.rows.values())
    return 0 if fine and not faults else 1


#: A lesson to execute: its path, that of the executed copy, settings, environment variables.
_Task = tuple[Path, Path, Mapping[str, Any], Mapping[str, str]]


def _executed(tasks: list[_Task], jobs: int, progress: bool) -> Iterator[tuple[Path, Execution]]:
    """Execute lessons, ``jobs`` at a time, and yield each one's result when it is done."""
    if jobs == 1:
        yield from ((task[0], _execute(task, progress)) for task in tasks)
        return
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    variables = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": threads}
    tasks = [(*task[:3], {**task[3], **variables}) for task in tasks]
    spawn = multiprocessing.get_context("spawn")  # the variables of a kernel are its process's own
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        running = {pool.submit(_execute, task, False): task[0] for task in tasks}
        try:
            for future in as_completed(running):
                try:
                    result = future.result()
                except BrokenExecutor:
                    error = f"its process was ended, usually for want of memory; {MEMORY_REMEDY}"
                    result = Execution(None, 0.0, 0.0, error)
                yield running[future], result
        except BaseException:  # such as Ctrl-C: begin no further lesson
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _execute(task: _Task, progress: bool) -> Execution:
    path, target, settings, variables = task
    parameters = {name.upper(): value for name, value in settings.items()}
    return execute(
        path, target, parameters=parameters, variables=variables, progress=progress, line=1
    )


@dataclass
class _Report:
    """Results of a run and their files.

    Attributes:
        out: output folder.
        root: the project's folder.
        name: name of the data set.
        settings: ``dataset``, ``scale`` and ``seed``.
        rows: rows of ``chapters.csv`` by lesson.
    """

    out: Path
    root: Path
    name: str
    settings: dict[str, Any]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = self.out / "chapters.csv"
        self.board = Leaderboard(self.out / "leaderboard")

    def earlier_rows(self) -> dict[str, dict[str, Any]]:
        """Return the stored rows with the same settings, by lesson; move a damaged table away."""
        if not self.table.exists():
            return {}
        try:
            old = read_rows(self.table, COLUMNS, text_columns=TEXT_COLUMNS)
        except DataError as error:
            aside = self.table.with_name(f"{self.table.name}.damaged")
            self.table.replace(aside)
            print(f"{error}. It was set aside as {aside.name}; the run goes on", file=sys.stderr)
            return {}
        for column, value in self.settings.items():
            old = old[old[column] == value]
        return {row["chapter"]: row for row in old[list(COLUMNS)].to_dict("records")}

    def save(self) -> None:
        """Write ``chapters.csv``: these rows, and those that other runs added."""
        with locked(self.table):
            rows = self.earlier_rows() | self.rows
            frame = pd.DataFrame(list(rows.values()), columns=list(COLUMNS))
            write_text(self.table, frame.sort_values("chapter").to_csv(index=False))

    def write_index(self) -> None:
        """Write ``index.html`` of these lessons and of those that other runs added."""
        recorded_board = Leaderboard(self.root / "results" / "leaderboard")
        with locked(self.out / "index.html"):
            rows = pd.DataFrame(list((self.earlier_rows() | self.rows).values()))
            boards, fault = (pd.DataFrame(), pd.DataFrame()), None
            try:
                own = self.board.frame(self.name, scale=self.settings["scale"])
                boards = own, recorded_board.latest(self.name)
            except DataError as error:
                fault = error
            write_index(self.out, rows, *boards)
        if fault:
            raise fault

    def show(self, faults: list[str]) -> None:
        """Print the table of this run's lessons, what went wrong, and the paths of the files."""
        rows = [self.rows[chapter] for chapter in sorted(self.rows)]
        frame = pd.DataFrame(rows)
        frame["bounds"] = [bounds_held(row) for row in rows]
        frame = frame[["chapter", "status", "seconds", "peak_mib", "bounds"]]
        width = frame["chapter"].str.len().max()  # left-aligned
        frame["chapter"] = frame["chapter"].str.ljust(width)
        print(frame.rename(columns={"chapter": "chapter".ljust(width)}).to_string(index=False))
        for row in rows:
            if row["status"] != FINISHED:
                print(f"{row['chapter']}: {row['error'] or row['broken']}")
        for fault in faults:
            print(fault)
        status = frame["status"].value_counts()
        left_out = f", {status[LEFT_OUT]} left out" if LEFT_OUT in status else ""
        print(
            f"\n{status.get(FINISHED, 0)} of {len(rows)} chapters finished{left_out}, in "
            f"{frame['seconds'].sum():.0f} s"
        )
        here = Path.cwd().resolve()
        for content, path in (
            ("read it without Jupyter", self.out / "index.html"),
            ("executed notebooks", self.out / "notebooks"),
            ("leaderboard", self.board.path(self.name)),
            ("seconds and memory", self.table),
        ):
            shown = path.relative_to(here) if path.is_relative_to(here) else path
            missing = "" if path.exists() else "  (nothing was added to it)"
            print(f"{content + ':':25}{shown}{missing}")


def _fault(step: Callable[..., object], *args: Any, **options: Any) -> str:
    """Call a function; return its error message, "" if there was none."""
    try:
        step(*args, **options)
    except (OSError, DataError) as error:
        return str(error)
    return ""


def _code(path: Path, root: Path) -> str:
    """Return the hash of a lesson's code and data; "" if the file is not a notebook."""
    try:
        return freshness(read_notebook(path), root)
    except (ValueError, SyntaxError):  # executing it reports why
        return ""


def _row(chapter: str, result: Execution) -> dict[str, Any]:
    """Return the row of one lesson in ``chapters.csv``, without settings and code."""
    values = recorded(result.notebook) if result.notebook is not None else []
    broken = [
        f"{value['name']} = {'nan' if value['value'] is None else format(value['value'], '.4g')}"
        for value in values
        if not value["holds"]
    ]
    return {
        "chapter": chapter,
        "status": FAILED if result.error else BROKEN if broken else FINISHED,
        "seconds": round(result.seconds, 1),
        "peak_mib": round(result.peak_mib),
        "bounds_held": len(values) - len(broken),
        "bounds": len(values),
        "broken": "; ".join(broken),
        "error": result.error,
    }


def _line(row: dict[str, Any]) -> str:
    """Return a row as one line."""
    text = f"{row['chapter']}: {row['status']} in {row['seconds']:.1f} s, {row['peak_mib']} MiB"
    reason = row["error"] or row["broken"]
    return f"{text}: {reason}" if reason else text
