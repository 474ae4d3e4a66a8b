"""Running the course: every chapter executed, timed, its bounds checked, and made readable.

A failure does not stop the run; it is told at the end, and by the exit code. Chapters run one
after the other, so that their seconds mean something. A run writes to one folder::

    runs/bazaar-smoke/
        index.html            the leaderboard, the tables, and a link to each chapter's page
        chapters.csv          seconds, peak memory, bounds and errors, a row a chapter
        leaderboard/          what the chapters measured
        notebooks/ pages/     the executed copies, and the same as HTML

Every file is written whole, and rows replace their like, so a run that was killed can simply be
started again; with ``--resume`` it leaves out what it had finished. Two runs may share a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.course.asserted_metrics import recorded
from m6rec_lite.course.build.execution import execute
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

#: Columns of ``chapters.csv``. ``code`` names the code and data that the chapter ran with.
COLUMNS: tuple[str, ...] = (
    "chapter", "status", "seconds", "peak_mib", "bounds_held", "bounds", "broken", "error",
    "dataset", "scale", "seed", "code",
)  # fmt: skip

FINISHED, FAILED, BROKEN, LEFT_OUT = "finished", "failed", "bound broken", "left out"

#: Columns that are text, also where they are empty or look like numbers.
TEXT_COLUMNS: tuple[str, ...] = ("chapter", "status", "broken", "error", "dataset", "scale", "code")


def run(
    *,
    scale: str,
    dataset: str = "bazaar",
    seed: int = 0,
    numbers: str | None = None,
    out: Path | None = None,
    resume: bool = False,
    quick_models: bool = False,
    root: Path | None = None,
    progress: bool = True,
) -> int:
    """Execute chapters and report on them.

    Args:
        scale: ``smoke``, ``laptop`` or ``gpu``.
        dataset: passed to every chapter as ``DATASET``.
        seed: passed to every chapter as ``SEED``.
        numbers: chapters such as ``00,01``; all of them when None.
        out: folder to write; ``runs/<dataset>-<scale>`` when None.
        resume: leave out chapters that finished with today's code at the same scale and seed.
        quick_models: measure the models that fit in seconds on all users, for the leaderboard.
        root: the project's folder.
        progress: show bars over chapters and cells.

    A chapter that needs what a data set of the learner's own lacks is left out, and the report
    says what is lacking.

    Returns:
        0 if every chapter that could run finished, every bound holds and every file was written,
        else 1.

    Raises:
        ValueError: if there is no chapter to run, or no such number.
        DataError: if the data set cannot be read, or no chapter can run on it.
    """
    root = root or project_root()
    paths = chapters(root / "notebooks", numbers)
    if not paths:
        raise ValueError(
            f"no chapters in {root.name}/notebooks/; run this in the folder of the course"
        )
    name = _called(dataset)
    out = (out or root / "runs" / f"{name}-{scale}").resolve()
    # folders of the learner's own are meant from here, not from where the chapters lie
    dataset = str(Path(dataset).resolve()) if Path(dataset).exists() else dataset
    lacks = lacking(dataset, [path.name[:2] for path in paths])
    if len(lacks) == len(paths):
        raise DataError(
            f"{name}: no chapter can run on it. "
            + "; ".join(f"{number} needs {', '.join(words)}" for number, words in lacks.items())
        )
    table = out / "chapters.csv"
    run_of = {"dataset": dataset, "scale": scale, "seed": seed}
    command = f"python -m m6rec_lite.course run --scale {scale} --dataset {name} --seed {seed}"
    board = Leaderboard(out / "leaderboard")
    before = _earlier_rows(table, run_of)
    rows: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    bar = tqdm(paths, desc="chapters", unit="chapter", disable=not progress, leave=False)
    for path in bar:
        if path.name[:2] in lacks:
            error = f"{name} lacks what the chapter needs: {', '.join(lacks[path.name[:2]])}"
            rows[path.stem] = _empty_row(path.stem, LEFT_OUT, error) | run_of | {"code": ""}
            bar.write(_line(rows[path.stem]), file=sys.stderr)
            continue
        code = _code(path, root)
        earlier = before.get(path.stem, {})
        if resume and earlier.get("status") == FINISHED and code and earlier.get("code") == code:
            rows[path.stem] = earlier
            bar.write(f"{path.stem}: finished before", file=sys.stderr)
            continue
        result = execute(
            path,
            out / "notebooks" / path.name,
            parameters={"SCALE": scale, "DATASET": dataset, "SEED": seed},
            variables={
                SCALE_VARIABLE: scale,
                RUN_VARIABLE: str(out),
                COMMAND_VARIABLE: f"{command} --chapters {path.name[:2]}",
            },
            progress=progress,
            line=1,
        )
        row = _row(path.stem, result) | run_of | {"code": code}
        if result.notebook is not None:
            page = out / "pages" / f"{path.stem}.html"
            unwritten = _fault(write_page, result.notebook, page, path, root)
            if unwritten:
                row |= {
                    "status": FAILED,
                    "error": "; ".join(filter(None, (row["error"], unwritten))),
                }
        rows[path.stem] = row
        unwritten = _fault(_merge, table, run_of, rows)
        bar.write(_line(row) + (f"; {unwritten}" if unwritten else ""), file=sys.stderr)
    if quick_models:
        options = {"scale": scale, "seed": seed, "command": command}
        faults.append(_fault(measure_quick_models, dataset, board, **options))
    faults.append(_fault(_merge, table, run_of, rows))
    faults.append(_fault(_index, table, run_of, rows, board, root))
    faults = [fault for fault in faults if fault]
    _report([rows[path.stem] for path in paths], out, board.path(name), faults)
    fine = all(row["status"] in (FINISHED, LEFT_OUT) for row in rows.values())
    return 0 if fine and not faults else 1


def _called(dataset: str) -> str:
    """The name that a data set of this name or path has."""
    return Path(dataset).name.removesuffix(".gz").removesuffix(".csv") or dataset


def _fault(step: Callable[..., object], *args: Any, **options: Any) -> str:
    """Take a step; return what went wrong, "" if nothing did. One step does not stop the rest."""
    try:
        step(*args, **options)
    except (OSError, DataError) as error:
        return str(error)
    return ""


def _code(path: Path, root: Path) -> str:
    """The hash of the chapter's code and data; "" where the file is no notebook."""
    try:
        return freshness(read_notebook(path), root)
    except (ValueError, SyntaxError):  # executing it says why
        return ""


def _empty_row(chapter: str, status: str, error: str) -> dict[str, Any]:
    """The table's row of a chapter that was not executed."""
    row = {"chapter": chapter, "status": status, "seconds": 0.0, "peak_mib": 0, "error": error}
    return row | {"bounds_held": 0, "bounds": 0, "broken": ""}


def _row(chapter: str, result: Any) -> dict[str, Any]:
    """The table's row of one executed chapter."""
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
    """One chapter in a line."""
    told = f"{row['chapter']}: {row['status']} in {row['seconds']:.1f} s, {row['peak_mib']} MiB"
    why = row["error"] or row["broken"]
    return f"{told}: {why}" if why else told


def _earlier_rows(table: Path, run_of: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows of the same data set, scale and seed that the table holds, by chapter.

    A damaged table is set aside, as the run can go on without it.
    """
    if not table.exists():
        return {}
    try:
        old = read_rows(table, COLUMNS, text_columns=TEXT_COLUMNS)
    except DataError as error:
        aside = table.with_name(f"{table.name}.damaged")
        table.replace(aside)
        print(f"{error}. It was set aside as {aside.name}; the run goes on", file=sys.stderr)
        return {}
    for column, value in run_of.items():
        old = old[old[column] == value]
    return {row["chapter"]: row for row in old[list(COLUMNS)].to_dict("records")}


def _merge(
    table: Path, run_of: Mapping[str, Any], rows: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Put rows beside those that other runs added, and write the table; returns all its rows."""
    with locked(table):
        merged = _earlier_rows(table, run_of) | dict(rows)
        frame = pd.DataFrame(list(merged.values()), columns=list(COLUMNS)).sort_values("chapter")
        write_text(table, frame.to_csv(index=False))
    return merged


def _index(
    table: Path,
    run_of: Mapping[str, Any],
    rows: Mapping[str, dict[str, Any]],
    board: Leaderboard,
    root: Path,
) -> None:
    """Write ``index.html`` of this run's chapters and of those that other runs added."""
    out, name = table.parent, _called(run_of["dataset"])
    recorded = Leaderboard(root / "results" / "leaderboard")
    with locked(out / "index.html"):
        chapter_rows = pd.DataFrame(list((_earlier_rows(table, run_of) | dict(rows)).values()))
        boards, fault = (pd.DataFrame(), pd.DataFrame()), ""
        try:
            boards = board.frame(name, scale=run_of["scale"]), recorded.latest(name)
        except DataError as error:
            fault = str(error)
        write_index(out, chapter_rows, *boards)
    if fault:
        raise DataError(fault)


def _report(rows: list[dict[str, Any]], out: Path, leaderboard: Path, faults: list[str]) -> None:
    """Print the table, and where everything lies."""
    frame = pd.DataFrame(rows)
    frame["bounds"] = [bounds_held(row) for row in rows]
    columns = ["chapter", "status", "seconds", "peak_mib", "bounds"]
    width = frame["chapter"].str.len().max()
    left = frame[columns].assign(chapter=frame["chapter"].str.ljust(width))
    print(left.rename(columns={"chapter": "chapter".ljust(width)}).to_string(index=False))
    for row in rows:
        if row["status"] != FINISHED:
            print(f"{row['chapter']}: {row['error'] or row['broken']}")
    for fault in faults:
        print(fault)
    finished = sum(row["status"] == FINISHED for row in rows)
    seconds, left = sum(r["seconds"] for r in rows), sum(r["status"] == LEFT_OUT for r in rows)
    also = f", {left} left out" if left else ""
    print(f"\n{finished} of {len(rows)} chapters finished{also}, in {seconds:.0f} s")
    places = {
        "read it without Jupyter": out / "index.html",
        "executed notebooks": out / "notebooks",
        "leaderboard": leaderboard,
        "seconds and memory": out / "chapters.csv",
    }
    for what, place in places.items():
        here = Path.cwd().resolve()
        shown = place.relative_to(here) if place.is_relative_to(here) else place
        missing = "" if place.exists() else "  (nothing was added to it)"
        print(f"{what + ':':25}{shown}{missing}")
