"""Execute a notebook in place and store its outputs, the hash of its code, and its cost.

The measured cost of a lesson is written to the markdown cell tagged ``facts`` and to the notebook's
metadata.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from m6rec_lite.course.asserted_metrics import STRICT_VARIABLE
from m6rec_lite.course.build.execution import execute
from m6rec_lite.course.build.notebooks import read_notebook, scrub, tags, write_notebook
from m6rec_lite.course.build.staleness import METADATA, freshness, stored_freshness, used_modules
from m6rec_lite.course.leaderboard import COMMAND_VARIABLE, KEY, RUN_VARIABLE, TEXT_COLUMNS
from m6rec_lite.course.paths import chapters
from m6rec_lite.course.scale import SCALE_VARIABLE, SCALES
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_rows

FACTS = "facts"

#: Reading speed: words of prose and lines of code per minute.
WORDS_A_MINUTE, LINES_A_MINUTE = 200, 30


class StoreError(RuntimeError):
    """Executing a notebook failed, so nothing was stored."""


def is_fresh(path: Path, root: Path) -> bool:
    """Return whether the stored outputs belong to the current code and data."""
    return stored_freshness(notebook := read_notebook(path)) == freshness(notebook, root)


def store(path: Path, root: Path, *, scale: str = "laptop", progress: bool = True) -> dict:
    """Execute a notebook at smoke scale (for its seconds) and then at ``scale``, in place.

    Args:
        path: a notebook of ``notebooks/`` or ``solutions/``.
        root: the project's folder.
        scale: scale of the stored outputs.
        progress: whether to show a progress bar over the cells.

    Returns:
        The measured cost: ``minutes``, ``seconds`` and ``peak_mib`` by scale, ``gpu``.

    Raises:
        StoreError: if the notebook fails at either scale; the file is not changed.
    """
    stored = read_notebook(path).metadata.get(METADATA, {}).get(FACTS, {})
    facts: dict[str, Any] = {
        "seconds": dict(stored.get("seconds", {})),
        "peak_mib": dict(stored.get("peak_mib", {})),
    }
    notebook: Any = None
    for each in dict.fromkeys(("smoke", scale)):
        with tempfile.TemporaryDirectory() as folder:
            # a lesson's leaderboard extends that of the lesson before; a smoke run leaves no files
            is_stored = each == scale and path.parent.name == "notebooks"
            run = _run_folder(path, root) if is_stored else Path(folder)
            result = execute(
                path,
                Path(folder) / path.name,
                variables={
                    SCALE_VARIABLE: each,
                    RUN_VARIABLE: str(run),
                    COMMAND_VARIABLE: f"python -m m6rec_lite.course store {_relative(path, root)}",
                    STRICT_VARIABLE: "1",
                },
                progress=progress,
            )
        if result.error:
            raise StoreError(f"{path.name} failed at {each} scale: {result.error}")
        facts["seconds"][each] = _round(result.seconds)
        facts["peak_mib"][each] = round(result.peak_mib / 10) * 10
        notebook = scrub(result.notebook)
    facts["minutes"] = reading_minutes(notebook)
    facts["gpu"] = uses_torch(notebook, root)
    _write_facts(notebook, facts)
    notebook.metadata[METADATA] = {
        "freshness": freshness(notebook, root),
        "scale": scale,
        FACTS: facts,
    }
    write_notebook(notebook, path)
    return facts


def _run_folder(path: Path, root: Path) -> Path:
    """Return the run folder of a lesson, with the leaderboard rows of all earlier lessons.

    So the stored leaderboard contains the models of all earlier lessons, and no later ones, in
    whatever order lessons are stored; on a new machine, those of lessons that were stored there.
    Each lesson gives the rows that it made itself, so a model that it no longer has is gone.
    Folders of lessons that no longer exist, or had another number, are deleted.
    """
    runs, number = root / "runs" / "stored", path.name[:2]
    shutil.rmtree(runs / number, ignore_errors=True)
    lessons = {lesson.name[:2] for lesson in chapters(root / "notebooks")}
    for folder in runs.glob("[0-9][0-9]"):
        if folder.name not in lessons:
            shutil.rmtree(folder)
    boards = sorted(p for p in runs.glob("[0-9][0-9]/leaderboard") if p.parent.name < number)
    tables: dict[str, list[pd.DataFrame]] = {}
    for board in reversed(boards):  # files of the lesson that made a row replace later copies
        shutil.copytree(board, runs / number / "leaderboard", dirs_exist_ok=True)
        for file in board.glob("*.csv"):
            rows = read_rows(file, KEY, text_columns=TEXT_COLUMNS)
            own = f"notebooks/{board.parent.name}_"  # in the command that made the row
            rows = rows[rows["command"].astype(str).str.contains(own, regex=False)]
            tables.setdefault(file.name, []).insert(0, rows)
    for name, frames in tables.items():
        table = pd.concat(frames, ignore_index=True).drop_duplicates([*KEY])
        text = table.to_csv(index=False, float_format="%.12g")
        write_text(runs / number / "leaderboard" / name, text)
    return runs / number


def reading_minutes(notebook: Any) -> int:
    """Return the reading time in minutes, at least 1."""
    words = lines = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            words += len(re.findall(r"\w+", cell.source))
        elif cell.cell_type == "code":
            lines += sum(bool(line.strip()) for line in cell.source.split("\n"))
    return max(1, round(words / WORDS_A_MINUTE + lines / LINES_A_MINUTE))


def uses_torch(notebook: Any, root: Path) -> bool:
    """Return whether the notebook, or a module of the package that it uses, imports torch."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    pattern = re.compile(r"^\s*(?:import|from)\s+torch\b", re.MULTILINE)
    plain = re.sub(r"^\s*[%!?].*$", "", code, flags=re.MULTILINE)
    modules = used_modules(plain, root)
    return bool(
        pattern.search(plain)
        or any(pattern.search(module.read_text(encoding="utf-8")) for module in modules)
    )


def facts_line(facts: dict[str, Any]) -> str:
    """Return the line with the cost of a lesson that is shown under its title."""
    seconds = facts["seconds"]
    runs = ", ".join(
        f"{_duration(seconds[each])} at {each} scale" for each in SCALES if each in seconds
    )
    peak = max(facts["peak_mib"].values())
    if not facts["gpu"]:
        gpu = "a GPU is not used"
    elif "gpu" in seconds:
        gpu = "a GPU matters (see its seconds)"
    else:
        gpu = "a GPU is used where there is one"
    memory = f"{peak / 1024:.1f} GiB" if peak >= 1000 else f"{peak:.0f} MiB"
    return (
        f"*{facts['minutes']} min to read · runs in {runs} (two CPU cores) · "
        f"{memory} of memory at most · {gpu}*"
    )


def _write_facts(notebook: Any, facts: dict[str, Any]) -> None:
    """Write the line of facts to its cell, inserted after the title if missing."""
    cell = next((cell for cell in notebook.cells if FACTS in tags(cell)), None)
    if cell is None:
        cell = nbformat.v4.new_markdown_cell(metadata={"tags": [FACTS]}, id=FACTS)
        notebook.cells.insert(1, cell)
    cell.source = facts_line(facts)


def _round(seconds: float) -> float:
    """Round seconds to reproducible digits: tenths below ten, else whole seconds."""
    return round(seconds, 1) if seconds < 10 else float(round(seconds))


def _duration(seconds: float) -> str:
    """Format seconds, as minutes from 90 seconds on."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _relative(path: Path, root: Path) -> str:
    """Return a path relative to the project's folder; only its name if it is outside."""
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
