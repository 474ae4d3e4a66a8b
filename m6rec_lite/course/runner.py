"""Running the course: every chapter executed, timed, its bounds checked, and made readable.

A failure does not stop the run; it is told at the end, and by the exit code. Chapters run one
after the other, so that their seconds mean something. A run writes to one folder::

    runs/bazaar-smoke/
        index.html            the ladder, the table, and a link to each chapter's page
        chapters.csv          seconds, peak memory, bounds and errors, a row a chapter
        leaderboard/          what the chapters measured
        notebooks/ pages/     the executed copies, and the same as HTML

Every file is written whole, and rows replace their like, so a run that was killed can simply be
started again; with ``--resume`` it leaves out what it had finished.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.course.bounds import recorded
from m6rec_lite.course.execution import execute
from m6rec_lite.course.freshness import freshness
from m6rec_lite.course.leaderboard import (
    COMMAND_VARIABLE,
    RUN_VARIABLE,
    Leaderboard,
    write_atomically,
)
from m6rec_lite.course.pages import write_index, write_page
from m6rec_lite.course.places import chapters, project_root
from m6rec_lite.course.scale import SCALE_VARIABLE

#: Columns of ``chapters.csv``. ``code`` names the code and data that the chapter ran with.
COLUMNS: tuple[str, ...] = (
    "chapter", "status", "seconds", "peak_mb", "bounds_held", "bounds", "broken", "error",
    "dataset", "scale", "seed", "code",
)  # fmt: skip

FINISHED, FAILED, BROKEN = "finished", "failed", "bound broken"

#: Columns that must agree for an earlier row to belong to the same run.
SAME_RUN: tuple[str, ...] = ("dataset", "scale", "seed")


def run(
    *,
    scale: str,
    dataset: str = "bazaar",
    seed: int = 0,
    numbers: str | None = None,
    out: Path | None = None,
    resume: bool = False,
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
        root: the project's folder.
        progress: show bars over chapters and cells.

    Returns:
        0 if every chapter finished and every bound holds, else 1.

    Raises:
        ValueError: if there is no chapter to run, or no such number.
    """
    root = root or project_root()
    paths = chapters(root / "notebooks", numbers)
    if not paths:
        raise ValueError(
            f"no chapters in {root.name}/notebooks/; run this in the folder of the course"
        )
    name = Path(dataset).name or dataset
    out = (out or root / "runs" / f"{name}-{scale}").resolve()
    # folders of the learner's own are meant from here, not from where the chapters lie
    dataset = str(Path(dataset).resolve()) if Path(dataset).exists() else dataset
    table = out / "chapters.csv"
    rows = _earlier_rows(table, {"dataset": dataset, "scale": scale, "seed": seed})
    variables = {SCALE_VARIABLE: scale, RUN_VARIABLE: str(out)}
    bar = tqdm(paths, desc="chapters", unit="chapter", disable=not progress, leave=False)
    for path in bar:
        code = _code(path, root)
        before = rows.get(path.stem, {})
        if resume and before.get("status") == FINISHED and code and before.get("code") == code:
            bar.write(f"{path.stem}: finished before", file=sys.stderr)
            continue
        command = f"python -m m6rec_lite.course run --scale {scale} --dataset {name} --seed {seed}"
        result = execute(
            path,
            out / "notebooks" / path.name,
            parameters={"SCALE": scale, "DATASET": dataset, "SEED": seed},
            variables=variables | {COMMAND_VARIABLE: f"{command} --chapters {path.name[:2]}"},
            progress=progress,
            line=1,
        )
        row = _row(path.stem, result) | {
            "dataset": dataset,
            "scale": scale,
            "seed": seed,
            "code": code,
        }
        rows[path.stem] = row
        _write_table(rows.values(), table)
        if result.notebook is not None:
            write_page(result.notebook, out / "pages" / f"{path.stem}.html", path, root)
        bar.write(_line(row), file=sys.stderr)
    mine = [rows[path.stem] for path in paths]
    board = Leaderboard(out / "leaderboard")
    write_index(out, pd.DataFrame(list(rows.values())), board.latest(name, scale=scale))
    _report(mine, out, board.path(name))
    return 0 if all(row["status"] == FINISHED for row in mine) else 1


def _code(path: Path, root: Path) -> str:
    """The hash of the chapter's code and data; "" where the file is no notebook."""
    try:
        return freshness(nbformat.read(path, as_version=4), path.name, root)
    except (ValueError, SyntaxError):  # executing it will tell
        return ""


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
        "peak_mb": round(result.peak_mb),
        "bounds_held": len(values) - len(broken),
        "bounds": len(values),
        "broken": "; ".join(broken),
        "error": result.error,
    }


def _line(row: dict[str, Any]) -> str:
    """One chapter in a line."""
    told = f"{row['chapter']}: {row['status']} in {row['seconds']:.1f} s, {row['peak_mb']} MB"
    why = row["error"] or row["broken"]
    return f"{told}: {why}" if why else told


def _earlier_rows(table: Path, run_of: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows that an earlier run of the same data set, scale and seed left, by chapter."""
    if not table.exists():
        return {}
    old = pd.read_csv(table, dtype={"code": str, "dataset": str, "scale": str})
    if list(old.columns) != list(COLUMNS):
        return {}
    for column, value in run_of.items():
        old = old[old[column] == value]
    old = old.astype(object).where(old.notna(), "")
    return {row["chapter"]: row for row in old.to_dict("records")}


def _write_table(rows: Iterable[dict[str, Any]], table: Path) -> None:
    """Write ``chapters.csv`` in the order of the chapters."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).sort_values("chapter")
    write_atomically(table, frame.to_csv(index=False))


def _report(rows: list[dict[str, Any]], out: Path, leaderboard: Path) -> None:
    """Print the table, and where everything lies."""
    frame = pd.DataFrame(rows)
    frame["bounds"] = [f"{row['bounds_held']} of {row['bounds']}" for row in rows]
    columns = ["chapter", "status", "seconds", "peak_mb", "bounds"]
    width = frame["chapter"].str.len().max()
    left = frame[columns].assign(chapter=frame["chapter"].str.ljust(width))
    print(left.rename(columns={"chapter": "chapter".ljust(width)}).to_string(index=False))
    for row in rows:
        if row["status"] != FINISHED:
            print(f"{row['chapter']}: {row['error'] or row['broken']}")
    finished = sum(row["status"] == FINISHED for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    print(f"\n{finished} of {len(rows)} chapters finished, in {seconds:.0f} s")
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
