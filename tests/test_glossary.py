"""The glossary is a whole table, and the lessons use its terms."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ["term", "Chinese", "meaning", "lesson"]
LESSONS = range(35)


@cache
def glossary() -> list[dict[str, str]]:
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in row] for row in rows]
    assert head == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in body]


@cache
def prose() -> str:
    cells = [
        "".join(cell["source"])
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]
    used = re.sub(r"^(from|import) .*$", "", "\n".join(cells), flags=re.MULTILINE)
    return re.sub(r"[\s*`_]+", " ", used).casefold()


def forms(term: str) -> list[str]:
    """``"masked words (masked)"`` has two forms."""
    return [part.strip(" )").casefold() for part in term.split(" (")]


def test_every_row_is_filled() -> None:
    assert len(glossary()) >= 150
    for row in glossary():
        assert all(row.values()), row
        assert re.search(r"[\u4e00-\u9fff]|^[A-Z]\w+(-\w+)?$", row["Chinese"]), row
        assert row["meaning"].endswith("."), row
        assert ". " not in row["meaning"], f"one sentence, please: {row}"


def test_no_term_stands_twice() -> None:
    names = Counter(row["term"].casefold() for row in glossary())
    assert [name for name, n in names.items() if n > 1] == []


def test_lessons_exist_and_rows_are_sorted() -> None:
    keys = [(row["lesson"], row["term"].casefold()) for row in glossary()]
    assert all(re.fullmatch(r"\d\d", lesson) and int(lesson) in LESSONS for lesson, _ in keys)
    assert keys == sorted(keys)
    assert {int(lesson) for lesson, _ in keys} == set(LESSONS)


def test_lessons_use_the_terms_that_they_introduce() -> None:
    missing = [
        term
        for term in (row["term"] for row in glossary())
        if not any(re.search(rf"(?<!\w){re.escape(form)}", prose()) for form in forms(term))
    ]
    assert missing == []
