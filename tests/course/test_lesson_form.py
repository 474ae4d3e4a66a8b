"""The form of a lesson: its size, its quick questions, and the rows of its claims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from m6rec_lite.course.build.lesson_form import (
    MAX_CELLS,
    claims_have_rows,
    quick_questions,
    read_claim_rows,
    within_budget,
)
from m6rec_lite.course.build.notebook_page import Page
from m6rec_lite.course.paths import project_root

ROOT = project_root()

QUESTION = """What does a mask of zeros do to the softmax?

- **a** It gives every position the same weight.
- **b** It removes these positions.

<details><summary>Answer</summary>

- **a** Right: a constant added to all scores cancels.
- **b** Only minus infinity removes a position;
  0 is a score like any other.

</details>
"""


def page(texts: list[str], root: Path = ROOT, name: str = "40_new", tag: str = "") -> Page:
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    if tag:
        cells[0].metadata["tags"] = [tag]
    path = root / "notebooks" / f"{name}.ipynb"
    return Page(path, root, nbformat.v4.new_notebook(cells=cells))


def only(faults: Iterator[str]) -> str:
    (fault,) = faults
    return fault


# ------------------------------------------------------------------------------- quick questions


@pytest.mark.parametrize("count", [4, 6])
def test_four_to_six_questions_are_good_in_one_cell_or_several(count: int) -> None:
    assert [*quick_questions(page([QUESTION] * count))] == []
    assert [*quick_questions(page(["\n".join([QUESTION] * count)]))] == []


@pytest.mark.parametrize("count", [0, 3, 7])
def test_too_few_and_too_many_questions_are_reported(count: int) -> None:
    assert f"has {count} quick questions" in only(quick_questions(page(["#"] + [QUESTION] * count)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- **b** Only minus infinity removes a position;\n  0 is a score like any other.", "",
         "the choices are a, b, the answer explains a"),
        ("- **b** It removes these positions.", "", "two or more choices"),
        ("- **b** It removes", "- **a** It removes", "each with its own letter"),
        ("Right: ", "", "must say 'Right'"),
        ("Only minus", "Right: only minus", "of one only"),
        ("Only minus infinity removes a position;\n  0 is a score like any other.", "No.",
         "why choice b is right or wrong; it says 'No.'"),
    ],
)  # fmt: skip
def test_a_question_without_its_parts_is_reported(old: str, new: str, message: str) -> None:
    assert old in QUESTION
    changed = QUESTION.replace(old, new)
    faults = [*quick_questions(page([QUESTION] * 4 + [changed]))]
    assert any(fault.startswith("cell 5: ") and message in fault for fault in faults), faults


def test_details_that_are_no_answer_are_no_question() -> None:
    more = "<details><summary>Why 10?</summary>So.</details>"
    assert [*quick_questions(page([more] * 7 + [QUESTION] * 4))] == []


# ------------------------------------------------------------------------------------- budgets


def test_a_lesson_that_is_too_long_is_reported() -> None:
    assert [*within_budget(page(["x"] * MAX_CELLS))] == []
    assert "61 cells" in only(within_budget(page(["x"] * (MAX_CELLS + 1))))
    assert "24,001 characters" in only(within_budget(page(["x" * 24_001])))


# -------------------------------------------------------------------------------------- claims


def with_rows(root: Path, *lines: str) -> Path:
    (root / "docs").mkdir()
    text = "\n".join(["id,lesson,sentence,command,records,seeds,verdict", *lines])
    (root / "docs" / "claims.csv").write_text(text + "\n")
    return root


def test_a_tagged_cell_with_its_row_is_good(tmp_path: Path) -> None:
    root = with_rows(
        tmp_path, 'mask,40,"The mask pays, here.",python -m experiments x,', "old,16,So.,make it,"
    )
    cell = "## Judged\n\nThe mask\npays, here. More."
    assert [*claims_have_rows(page([cell], root, tag="claim:mask"))] == []


def test_missing_rows_cells_and_sentences_are_reported(tmp_path: Path) -> None:
    root = with_rows(tmp_path, "mask,40,The mask pays.,make it,")
    text = "The mask pays."
    assert "no cell is tagged 'claim:mask'" in only(claims_have_rows(page([text], root)))
    found = [*claims_have_rows(page([text], root, tag="claim:musk"))]
    assert "has no such row" in found[0]
    assert len(found) == 2
    other = page(["The mask costs."], root, tag="claim:mask")
    assert "does not say 'The mask pays.'" in only(claims_have_rows(other))


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert [*claims_have_rows(page(["x"], tmp_path))] == []
    assert "no such row" in only(claims_have_rows(page(["x"], tmp_path, tag="claim:a")))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,40,,make it,"], "line 2: sentence is empty"),
        (["a,40,So.,make it,", "a,40,So.,make,"], "line 3: the row appears twice"),
    ],
)
def test_bad_rows_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_claim_rows(with_rows(tmp_path, *lines))


def test_other_columns_are_refused(tmp_path: Path) -> None:
    with_rows(tmp_path)
    (tmp_path / "docs" / "claims.csv").write_text("id,text\na,b\n")
    with pytest.raises(ValueError, match=r"the columns are \['id', 'text'\]"):
        read_claim_rows(tmp_path)
