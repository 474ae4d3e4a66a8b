"""Progress is read from saved notebooks; the certificate is a page of this machine."""

from pathlib import Path

import nbformat
import pytest

from m6rec_lite import course
from m6rec_lite.course.build.notebooks import read_notebook
from m6rec_lite.data import DataError

ROOT = Path(__file__).resolve().parents[2]


def notebook(*verdicts: str) -> nbformat.NotebookNode:
    """A notebook of exercises a, b, c …, each with the verdict of its check."""
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# Exercises of lesson 00: Counts <first>\n\nText.")]
    for name, verdict in zip("abcdef", verdicts, strict=False):
        data = {"text/plain": f"{verdict}\n  notice: good", "text/html": "<b>Correct</b>"}
        outputs = [v4.new_output("display_data", data=data)] if verdict else []
        source = f'q = course.exercise("{name}")\nq.check({name})'
        cells.append(v4.new_code_cell(source, outputs=outputs))
    return v4.new_notebook(cells=cells)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("M6REC_RUN", str(tmp_path / "run"))
    nbformat.write(notebook("CORRECT", "INCORRECT", "", "NOT ATTEMPTED"), tmp_path / "00_x.ipynb")
    nbformat.write(notebook(""), tmp_path / "01_y.ipynb")
    return tmp_path


def test_only_a_saved_correct_verdict_counts(folder):
    course.predict("00.share", 0.5)
    course.predict("a", 2.0)  # of an open exercise
    rows = course.progress(folder)
    assert rows.loc["00"].to_dict() == {
        "title": "Counts <first>",
        "exercises": 4,
        "correct": 1,
        "to do": "b, c, d",
        "predictions": 2,
    }
    assert rows.loc["01", "correct"] == 0


def test_the_exercises_of_the_project_are_all_counted_and_none_is_solved():
    rows = course.progress(ROOT / "exercises")
    assert len(rows) == len(list((ROOT / "exercises").glob("[0-9]*.ipynb")))
    assert (rows["exercises"] >= 3).all()
    assert rows["correct"].sum() == 0


def test_a_stored_solution_is_solved():
    rows = course.progress(ROOT / "solutions")
    assert (rows["correct"] == rows["exercises"]).all(), rows[rows["to do"] != ""]
    assert read_notebook(ROOT / "solutions" / "00_welcome.ipynb").cells  # still readable


def test_the_certificate_escapes_what_it_prints_and_needs_no_network(folder):
    path = course.certificate("  Ada <b>& Co ", folder=folder)
    page = path.read_text(encoding="utf-8")
    assert path.parent == folder / "run"
    assert "Ada &lt;b&gt;&amp; Co" in page
    assert "Counts &lt;first&gt;" in page
    assert "1 of 4" in page
    assert "01 ·" not in page
    assert "http" not in page


def test_bad_input_says_what_to_do(folder):
    with pytest.raises(ValueError, match="give the name"):
        course.certificate(" ", folder=folder)
    (folder / "00_x.ipynb").unlink()
    with pytest.raises(ValueError, match="solve one"):
        course.certificate("Ada", folder=folder)
    (folder / "02_z.ipynb").write_text("{")
    with pytest.raises(DataError, match="restore it"):
        course.progress(folder)
