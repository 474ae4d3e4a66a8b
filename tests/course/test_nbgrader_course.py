"""Exercises as a course of nbgrader: every assignment is valid, and points follow the answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from m6rec_lite.course.__main__ import main
from m6rec_lite.course.build.exercise_stubs import RegionError
from m6rec_lite.course.build.nbgrader_course import exercise_points, to_assignment, write_course
from m6rec_lite.course.build.notebooks import read_notebook, write_notebook
from m6rec_lite.course.paths import chapters

ROOT = Path(__file__).resolve().parents[2]

BODY = "    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
ANSWER = f"# exercise hit_rate\ndef hit_rate(ranks):\n{BODY}"
CHECK = 'course.exercise("hit_rate").check(hit_rate)'
PREDICT = '### BEGIN SOLUTION\nx = 1\n### END SOLUTION\ncourse.predict("hit_rate", x)'
VALUE = "# exercise hit_rate\n### BEGIN SOLUTION\nhit_rate = 1\n### END SOLUTION"


def notebook(*sources: str, tags: tuple[str, ...] = ()):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[-1].metadata["tags"] = list(tags)
    return nbformat.v4.new_notebook(cells=cells)


def marks(assignment) -> list[dict]:
    return [cell.metadata["nbgrader"] for cell in assignment.cells if "nbgrader" in cell.metadata]


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """The course folder with every lesson that has exercises."""
    folder = tmp_path_factory.mktemp("nbgrader")
    write_course(folder, ROOT)
    return folder


def test_every_solution_becomes_a_valid_assignment(course):
    names = [path.stem for path in chapters(ROOT / "solutions")]
    assert sorted(path.name for path in (course / "source").iterdir()) == names
    for path in chapters(ROOT / "solutions"):
        assignment = read_notebook(course / "source" / path.stem / path.name)
        ids = [each["grade_id"] for each in marks(assignment)]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[\w-]+", grade_id) for grade_id in ids)
        for cell in assignment.cells:
            mark = cell.metadata.get("nbgrader", {"solution": False, "grade": False})
            assert mark["solution"] == ("BEGIN SOLUTION" in cell.source), (path.name, cell.id)
            assert mark["grade"] == (".check(" in cell.source), (path.name, cell.id)
            assert "](../notebooks" not in cell.source
        worth = {each["grade_id"]: each["points"] for each in marks(assignment) if each["grade"]}
        assert worth == exercise_points(read_notebook(path))
        assert all(each["locked"] == each["grade"] for each in marks(assignment))


def test_points_count_values_functions_and_predictions():
    assert exercise_points(notebook(VALUE, CHECK)) == {"hit_rate": 1}
    assert exercise_points(notebook(ANSWER, CHECK)) == {"hit_rate": 2}
    assert exercise_points(notebook(PREDICT, ANSWER, CHECK)) == {"hit_rate": 3}


def test_cells_of_the_solution_alone_are_left_out():
    assignment = to_assignment(notebook(ANSWER, CHECK, "hit_rate(1)", tags=("solution-only",)), "x")
    assert [mark["solution"] for mark in marks(assignment)] == [True, False]
    assert len(assignment.cells) == 2


@pytest.mark.parametrize("sources", [(ANSWER,), (ANSWER, CHECK, CHECK), (ANSWER + "\n" + CHECK,)])
def test_an_exercise_without_exactly_one_check_is_refused(sources):
    with pytest.raises(ValueError, match=r"09_x\.ipynb: nbgrader needs one cell .* hit_rate"):
        to_assignment(notebook(*sources), "09_x.ipynb")


def test_an_open_region_is_refused():
    with pytest.raises(RegionError, match="cell 1"):
        to_assignment(notebook(ANSWER.replace("### END SOLUTION", ""), CHECK), "09_x.ipynb")


def test_settings_that_were_changed_are_kept(tmp_path, capsys):
    (tmp_path / "nbgrader_config.py").write_text("# mine\n")
    assert main(["nbgrader", str(tmp_path), "--chapters", "26"]) == 0
    assert "26_learning_from_logs_and_live.ipynb: 9 points" in capsys.readouterr().out
    assert (tmp_path / "nbgrader_config.py").read_text() == "# mine\n"


def test_missing_solutions_and_a_file_in_place_of_the_folder_are_reported(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match="course's repository"):
        write_course(tmp_path / "course", tmp_path)
    (tmp_path / "file").touch()
    assert main(["nbgrader", str(tmp_path / "file"), "--chapters", "26"]) == 2
    assert main(["nbgrader", str(tmp_path), "--chapters", "99"]) == 2
    assert "no chapter 99" in capsys.readouterr().err


NEEDS = "the extra 'class' is not installed"
LESSON = "26_learning_from_logs_and_live"
WARNING = "import warnings; warnings.warn('a right answer may warn')\n    "


def submit(course: Path, student: str, answers: dict[str, str], untouched: bool = False) -> None:
    """Submit the released notebook with the answers of its source, some of them replaced."""
    source = read_notebook(course / "source" / LESSON / f"{LESSON}.ipynb")
    released = read_notebook(course / "release" / LESSON / f"{LESSON}.ipynb")
    solved = {mark["grade_id"]: cell.source for cell in source.cells
              if (mark := cell.metadata.get("nbgrader"))}  # fmt: skip
    for cell in released.cells:
        mark = cell.metadata.get("nbgrader")
        if mark and not untouched:
            right = solved[mark["grade_id"]] if mark["solution"] else cell.source
            cell.source = answers.get(mark["grade_id"], right)
    write_notebook(released, course / "submitted" / student / LESSON / f"{LESSON}.ipynb")


@pytest.mark.extra
def test_nbgrader_accepts_every_assignment(course):
    formats = pytest.importorskip("nbgrader.nbgraderformat", reason=NEEDS)
    for path in sorted(course.glob("source/*/*.ipynb")):
        formats.MetadataValidator().validate_nb(read_notebook(path))


@pytest.mark.extra
def test_nbgrader_gives_points_to_right_answers_alone(course):
    """A right, a partly wrong, a dishonest and an untouched submission, graded by nbgrader."""
    api = pytest.importorskip("nbgrader.api", reason=NEEDS)

    def nbgrader(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *words], cwd=course, capture_output=True, text=True,
            env=os.environ | {
                "JUPYTER_CONFIG_DIR": str(course / "config"),
                # nbgrader calls the program alembic
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    nbgrader("generate_assignment", LESSON)
    released = (course / "release" / LESSON / f"{LESSON}.ipynb").read_text(encoding="utf-8")
    assert "SOLUTION" not in released
    assert "minimum.accumulate" not in released

    right = read_notebook(course / "source" / LESSON / f"{LESSON}.ipynb")
    decide = next(cell.source for cell in right.cells if cell.id == "decide")
    submit(course, "right", {"answer-decide": decide.replace("if test", f"{WARNING}if test", 1)})
    known = 'course.exercise("sequential_p").exercise.known_wrong[0].answer'
    submit(course, "wrong", {"answer-sequential-p": f"sequential_p = {known}"})
    submit(course, "untouched", {}, untouched=True)
    submit(course, "dishonest", {"answer-decide": "decide = None", "decide": "'all is well'"})
    nbgrader("autograde", LESSON)

    scores, students = {}, ("right", "wrong", "untouched", "dishonest")
    with api.Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for student in students:
            grades = gradebook.find_submission(LESSON, student).notebooks[0].grades
            scores[student] = {grade.name: grade.score for grade in grades}
    full = {"slate_ips": 2.0, "sequential_p": 2.0, "decide": 2.0, "peeking_share": 3.0}
    assert scores["right"] == full
    assert scores["wrong"] == full | {"sequential_p": 0.0}
    assert scores["untouched"] == dict.fromkeys(full, 0.0)
    assert scores["dishonest"] == full | {"decide": 0.0}
    # the predictions of one submission are not those of another
    stored = sorted(course.glob("autograded/*/*/run/predictions/*.json"))
    assert [path.parents[3].name for path in stored] == ["dishonest", "right", "wrong"]
