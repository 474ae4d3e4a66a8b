"""Marked regions are replaced and nothing else is; a page without its marks is refused."""

import pandas as pd
import pytest

from experiments.pages.regions import fill, region
from m6rec_lite.evaluation.report import markdown_table

PAGE = "# Title\n\n<!-- a: begin -->\nold\n<!-- a: end -->\nrest <!-- b: begin --><!-- b: end -->\n"


def test_only_the_region_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf-8")
    assert fill(page, "a", "neu é\n")
    assert page.read_text("utf-8") == PAGE.replace("old", "neu é")
    assert region(page, "a") == "neu é"
    assert not fill(page, "a", "neu é"), "the same text again must not touch the file"


@pytest.mark.parametrize(
    "text",
    [
        "no marks",
        "<!-- a: end --><!-- a: begin -->",
        PAGE + "<!-- a: begin -->",
        "<!-- a: begin -->",
    ],
)
def test_missing_or_doubled_marks_are_named_and_the_page_is_kept(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=r"page\.md must hold '<!-- a: begin -->'"):
        fill(page, "a", "new")
    assert page.read_text("utf-8") == text


def test_table_aligns_escapes_and_leaves_gaps_empty():
    frame = pd.DataFrame({"model": ["a|b", "c"], "hr": [0.5, float("nan")]})
    assert markdown_table(frame).splitlines() == [
        "| model | hr |",
        "|:---|---:|",
        "| a\\|b | 0.5 |",
        "| c | |",
    ]
