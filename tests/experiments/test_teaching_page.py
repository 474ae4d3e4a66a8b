"""Minutes and timetables of ``docs/teaching.md``."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import nbformat
import pytest

from experiments.pages.regions import region
from experiments.pages.teaching_page import (
    BLOCK,
    PAGE,
    SEMESTER,
    THREE_HOURS,
    TWO_DAYS,
    Lesson,
    answer_lines,
    lesson_table,
    read_lessons,
    schedule,
    semester_table,
    timetable,
)
from m6rec_lite.course.build.exercise_stubs import BEGIN, END
from m6rec_lite.course.build.notebooks import read_notebook
from m6rec_lite.course.paths import chapters

ROOT = Path(__file__).resolve().parents[2]

LESSON = Lesson("00 · Welcome", reading=26, exercise_reading=6, lines={"a": 3, "b": 8})


@pytest.fixture(scope="module")
def lessons() -> dict[str, Lesson]:
    return read_lessons(ROOT)


def test_the_formula_by_hand() -> None:
    assert LESSON.talk() == 2 * 26 + 2 * 5
    assert LESSON.work() == 2 * 6 + 4 * 11
    assert LESSON.work(["a"]) == 2 * 3 + 4 * 3
    assert LESSON.work([]) == 0
    assert Lesson("x", 10, 0, {}).work() == 0


def test_lines_of_an_answer_and_of_its_prediction() -> None:
    sources = [
        "### BEGIN SOLUTION\nguess = 1\n### END SOLUTION\ncourse.predict('a', guess)",
        f"# exercise a\ndef a():\n    {BEGIN}\n    x = 1\n\n    return x\n    {END}",
        "# exercise b\n### BEGIN SOLUTION\nb = 1\n### END SOLUTION",
        "print(a(), b)",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    assert answer_lines(nbformat.v4.new_notebook(cells=cells)) == {"a": 3, "b": 1}


def test_a_timetable_fills_its_block_and_refuses_what_does_not_exist() -> None:
    table = timetable({"00": LESSON}, [("00", "a", "pause")])
    assert table["minutes"].tolist() == [62, 18, 15, BLOCK - 95]
    assert table["part"].tolist()[:2] == ["00 · Welcome", "exercise `a` of 00"]
    with pytest.raises(KeyError, match="nothing"):
        schedule({"00": LESSON}, ["nothing"])


def test_misconceptions_name_exercises_of_their_lessons_and_claims_that_exist() -> None:
    page = (ROOT / PAGE).read_text("utf-8").split("## Common misconceptions")[1].split("\n## ")[0]
    names = {path.name[:2]: set(answer_lines(read_notebook(path)))
             for path in chapters(ROOT / "solutions")}  # fmt: skip
    shown = re.findall(r"^\| (\d\d) \|.*\| `(\w+)` \|$", page, re.MULTILINE)
    assert {number for number, _ in shown} == set(names)
    assert [(number, name) for number, name in shown if name not in names[number]] == []
    with (ROOT / "docs" / "claims.csv").open(encoding="utf-8", newline="") as file:
        claims = {(row["lesson"], row["id"]) for row in csv.DictReader(file)}
    fallen = re.findall(r"^\| (\d\d) \|.*\(`(\w+)`\) \|$", page, re.MULTILINE)
    assert fallen
    assert set(fallen) <= claims


def test_the_timetables_fit_and_the_semester_has_every_lesson(lessons: dict[str, Lesson]) -> None:
    for block in (*THREE_HOURS, *TWO_DAYS):
        assert 0 <= timetable(lessons, [block])["minutes"].iloc[-1] <= 30
    assert sorted(number for week in SEMESTER for number in week) == sorted(lessons)
    weeks = semester_table(lessons)
    in_class = weeks[["lessons, minutes", "pause", "exercises in class"]].sum(axis=1)
    assert (in_class <= BLOCK).all()
    assert (weeks["exercises in class"] >= 20).all()
    assert weeks["exercises at home"].sum() > 0


def test_the_page_has_every_lesson(lessons: dict[str, Lesson]) -> None:
    shown = region(ROOT / PAGE, "minutes")
    for title in lesson_table(lessons)["lesson"]:
        assert title in shown, "run: python -m experiments results --only pages"
    for name in ("three hours", "two days", "semester"):
        assert region(ROOT / PAGE, name)
