"""Minutes that a class needs for each lesson, and three timetables, for ``docs/teaching.md``.

A class takes ``PACE`` times the minutes in which one fluent reader reads a lesson or its exercises,
``STOP`` minutes at each of a lesson's two stop points, and ``LINE`` minutes for each line that a
learner writes, counted in the solutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from experiments.pages.regions import fill
from m6rec_lite.course.build.execute_in_place import FACTS, reading_minutes
from m6rec_lite.course.build.exercise_stubs import BEGIN, END, NAMED
from m6rec_lite.course.build.nbgrader_course import exercise_points
from m6rec_lite.course.build.staleness import METADATA
from m6rec_lite.course.paths import chapters
from m6rec_lite.evaluation.report import markdown_table

PAGE = Path("docs") / "teaching.md"

PACE, LINE, STOP, STOPS = 2, 4, 5, 2

#: Minutes of a pause, and of a half day or a week of the semester.
PAUSE, BLOCK = 15, 180

#: Parts of a timetable: the number of a lesson, the name of an exercise, or ``"pause"``.
THREE_HOURS = (("00", "most_popular_items", "pause", "03", "pause", "16"),)
TWO_DAYS = (
    ("00", "oracle_share", "01", "pause", "02", "ndcg_under_ties"),
    ("03", "recency_weights", "pause", "05", "10"),
    ("12", "nucleus_probs", "pause", "13", "16"),
    ("17", "masked_history_loss", "pause", "19", "34"),
)
SEMESTER = (
    ("00", "01", "02"), ("03", "04"), ("05", "06", "07"), ("08", "09"), ("10", "11"),
    ("12", "13"), ("14", "15"), ("16", "17", "18"), ("19", "20", "21"), ("22", "23", "24"),
    ("25", "26"), ("27", "28", "29"), ("30", "31", "32"), ("33", "34"),
)  # fmt: skip


@dataclass(frozen=True)
class Lesson:
    """What the minutes of a lesson are calculated from.

    Attributes:
        title: of the lesson.
        reading: minutes to read the lesson.
        exercise_reading: minutes to read its exercises.
        lines: lines of the answer to each exercise, by name; the prediction counts as one.
        points: of the exercises together.
        peak_mib: memory of one kernel.
    """

    title: str
    reading: int
    exercise_reading: int
    lines: Mapping[str, int]
    points: int = 0
    peak_mib: int = 0

    def talk(self) -> int:
        """Return the minutes of the lesson, without exercises."""
        return PACE * self.reading + STOP * STOPS

    def work(self, names: Sequence[str] | None = None) -> int:
        """Return the minutes of some exercises, None for all; each is an equal part to read."""
        names = list(self.lines) if names is None else names
        reading = PACE * self.exercise_reading * len(names) / max(1, len(self.lines))
        return round(reading + LINE * sum(self.lines[name] for name in names))


def answer_lines(solution: Any) -> dict[str, int]:
    """Return the number of lines that a learner writes for each exercise of a solution notebook.

    Lines of an unnamed region, which stores a prediction, belong to the exercise that follows.
    """
    lines: dict[str, int] = {}
    waiting = 0
    for cell in solution.cells:
        if cell.cell_type != "code" or BEGIN not in cell.source:
            continue
        for part in cell.source.split(BEGIN)[1:]:
            waiting += sum(bool(line.strip()) for line in part.split(END)[0].split("\n"))
        if name := NAMED.match(cell.source):
            lines[name[1]] = lines.get(name[1], 0) + waiting
            waiting = 0
    return lines


def read_lessons(root: Path) -> dict[str, Lesson]:
    """Return the lessons of the project by their numbers."""
    lessons = {}
    for path in chapters(root / "notebooks"):
        lesson, exercises, solution = (
            nbformat.reads((root / folder / path.name).read_text(encoding="utf-8"), as_version=4)
            for folder in ("notebooks", "exercises", "solutions")
        )
        facts = lesson.metadata[METADATA][FACTS]
        lessons[path.name[:2]] = Lesson(
            title=lesson.cells[0].source.splitlines()[0].lstrip("# "),
            reading=reading_minutes(lesson),
            exercise_reading=reading_minutes(exercises),
            lines=answer_lines(solution),
            points=sum(exercise_points(solution).values()),
            peak_mib=max(facts["peak_mib"].values()),
        )
    return lessons


def lesson_table(lessons: Mapping[str, Lesson]) -> pd.DataFrame:
    """Return the minutes of each lesson in a class, the points of its exercises, and its memory."""
    return pd.DataFrame(
        {
            "lesson": lesson.title,
            "to read, alone": lesson.reading,
            "lesson, in a class": lesson.talk(),
            "exercises, in a class": lesson.work(),
            "together": lesson.talk() + lesson.work(),
            "exercises": len(lesson.lines),
            "points": lesson.points,
            "peak MiB a head": lesson.peak_mib,
        }
        for lesson in lessons.values()
    )


def schedule(lessons: Mapping[str, Lesson], parts: Sequence[str]) -> list[tuple[str, int]]:
    """Return a label and the minutes of each part of a block.

    Raises:
        KeyError: if a part is neither a lesson, nor an exercise of one, nor ``"pause"``.
    """
    owner = {name: number for number, lesson in lessons.items() for name in lesson.lines}
    rows = []
    for part in parts:
        if part == "pause":
            rows.append(("pause", PAUSE))
        elif part in lessons:
            rows.append((lessons[part].title, lessons[part].talk()))
        else:
            number = owner[part]
            rows.append((f"exercise `{part}` of {number}", lessons[number].work([part])))
    return rows


def timetable(lessons: Mapping[str, Lesson], blocks: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return the parts of each block with their minutes; what is left is for questions."""
    rows = []
    for n, parts in enumerate(blocks, 1):
        planned = schedule(lessons, parts)
        rest = BLOCK - sum(minutes for _, minutes in planned)
        shown = [*planned, ("questions, and what took longer", rest)]
        rows += [{"block": n, "part": part, "minutes": minutes} for part, minutes in shown]
    return pd.DataFrame(rows)


def semester_table(lessons: Mapping[str, Lesson]) -> pd.DataFrame:
    """Return the lessons of each week, the minutes in class, and those of the homework."""
    rows = []
    for week, numbers in enumerate(SEMESTER, 1):
        chosen = [lessons[number] for number in numbers]
        talk = sum(lesson.talk() for lesson in chosen)
        work = sum(lesson.work() for lesson in chosen)
        in_class = min(work, BLOCK - PAUSE - talk)
        rows.append(
            {
                "week": week,
                "lessons": ", ".join(numbers),
                "lessons, minutes": talk,
                "pause": PAUSE,
                "exercises in class": in_class,
                "exercises at home": work - in_class,
            }
        )
    return pd.DataFrame(rows)


def fill_teaching(root: Path) -> None:
    """Fill the generated regions of ``docs/teaching.md``."""
    lessons = read_lessons(root)
    tables = {
        "minutes": lesson_table(lessons),
        "three hours": timetable(lessons, THREE_HOURS),
        "two days": timetable(lessons, TWO_DAYS),
        "semester": semester_table(lessons),
    }
    for region, table in tables.items():
        fill(root / PAGE, region, markdown_table(table))
