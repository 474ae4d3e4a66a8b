"""What a learner has done so far, and a certificate of it; both stay on this machine.

An exercise counts as correct if its check says so in the saved notebook of ``exercises/``, so save
the notebook first. Nothing is sent anywhere, and nothing is written but the certificate::

    course.progress()                    # a row for each lesson
    course.certificate("Ada Lovelace")   # a page to print
"""

from __future__ import annotations

import datetime
import re
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from m6rec_lite.course.leaderboard import run_folder
from m6rec_lite.course.paths import chapters, project_root
from m6rec_lite.course.predictions import FOLDER as PREDICTIONS
from m6rec_lite.data.files import write_text

#: A cell that checks an exercise by its name.
CHECK = re.compile(r"exercise\(\s*[\"'](\w+)[\"']\s*\)(?:.*?)\.check\(", re.DOTALL)

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Certificate: {name}</title>
<style>
body {{ font-family: Georgia, serif; max-width: 44rem; margin: 3rem auto; text-align: center; }}
main {{ border: 3px double #0072B2; padding: 2.5rem; }}
table {{ margin: 1.5rem auto; border-collapse: collapse; text-align: left; }}
th, td {{ padding: 0.15rem 0.8rem; font-weight: normal; }}
td {{ text-align: right; }}
@page {{ size: A4; margin: 1cm; }}
@media print {{ body {{ margin: 0 auto; }} }}
</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p>solved {correct} of {exercises} exercises of the course<br>
<strong>Recommenders as language models</strong></p>
<table>
<caption>Exercises solved, by lesson</caption>
{rows}
</table>
<p>{date}</p>
<p><small>Written by <code>course.certificate</code> from the notebooks on this machine. It states
what their saved checks say; nobody has examined them.</small></p>
</main>
</body>
</html>
"""


def progress(folder: str | Path | None = None) -> pd.DataFrame:
    """Count the exercises that are solved and the predictions that are stored.

    Args:
        folder: with the notebooks of the exercises; None is ``exercises/`` of the project.

    Returns:
        A row for each lesson with exercises, by its number: ``title``, ``exercises``, ``correct``,
        ``to do`` (names of those that are not solved) and ``predictions`` (stored in this run).

    Raises:
        DataError: if a notebook is damaged; the message says how to restore it.
    """
    from m6rec_lite.course.build.notebooks import read_notebook

    folder = project_root() / "exercises" if folder is None else Path(folder)
    stored = [path.stem for path in (run_folder() / PREDICTIONS).glob("*.json")]
    rows = {}
    for path in chapters(folder):
        notebook = read_notebook(path)
        checks = _checks(notebook)
        number = path.name[:2]
        rows[number] = {
            "title": _title(notebook),
            "exercises": len(checks),
            "correct": sum(checks.values()),
            "to do": ", ".join(name for name, solved in checks.items() if not solved),
            "predictions": sum(name.startswith(f"{number}.") or name in checks for name in stored),
        }
    columns = ["title", "exercises", "correct", "to do", "predictions"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("lesson")


def certificate(
    name: str, path: str | Path | None = None, *, folder: str | Path | None = None
) -> Path:
    """Write a page to print that lists the lessons and the exercises solved in each.

    Args:
        name: of the learner, as it is to be printed.
        path: of the page; None is ``certificate.html`` in the folder of the run.
        folder: see ``progress``.

    Returns:
        The path of the page. It needs no network.

    Raises:
        ValueError: if the name is empty, or no exercise is solved yet.
    """
    name = " ".join(name.split())
    if not name:
        raise ValueError('give the name to print, as in course.certificate("Ada Lovelace")')
    lessons = progress(folder)
    begun = lessons[lessons["correct"] > 0]
    if begun.empty:
        raise ValueError(
            "no exercise is solved yet: solve one in exercises/, run its check, save the notebook, "
            "and call this again"
        )
    rows = [
        f'<tr><th scope="row">{number} · {escape(lesson["title"])}</th>'
        f"<td>{lesson['correct']} of {lesson['exercises']}</td></tr>"
        for number, lesson in begun.iterrows()
    ]
    path = run_folder() / "certificate.html" if path is None else Path(path)
    page = PAGE.format(
        name=escape(name),
        correct=lessons["correct"].sum(),
        exercises=lessons["exercises"].sum(),
        rows="\n".join(rows),
        date=datetime.date.today().isoformat(),
    )
    write_text(path, page)
    return path


def _checks(notebook: Any) -> dict[str, bool]:
    """Return the exercises that a notebook checks, and whether the saved verdict is correct."""
    checks: dict[str, bool] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and (call := CHECK.search(cell.source)):
            texts = [_text(output) for output in cell.outputs]
            checks[call[1]] = any(text.startswith("CORRECT") for text in texts)
    return checks


def _text(output: Any) -> str:
    """Return the plain text of an output."""
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def _title(notebook: Any) -> str:
    """Return the title of a notebook without what stands before its colon."""
    heading = notebook.cells[0].source.partition("\n")[0]
    return heading.partition(": ")[2] or heading.lstrip("# ")
