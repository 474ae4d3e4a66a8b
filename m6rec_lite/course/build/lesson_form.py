"""Lint rules for the form of a lesson: its size, its quick questions, and its claims.

A quick question is Markdown with choices, and the answer in a ``<details>`` element, which explains
every choice::

    What does a mask of zeros do to the softmax?

    - **a** It gives every position the same weight.
    - **b** It removes these positions.

    <details><summary>Answer</summary>

    - **a** Right: a constant added to all scores cancels.
    - **b** Only minus infinity removes a position; 0 is a score like any other.

    </details>

A cell that states a result has the tag ``claim:ID``. ``docs/claims.csv`` has a row for each: the
id, the number of the lesson, the sentence as the cell has it, the command that measures it, the ids
of the runs that it records (empty if the lesson's own outputs are the evidence), their seeds, and
the verdict if the claim is registered. ``python -m experiments claims`` writes the last two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from m6rec_lite.course.build.notebook_page import Page
from m6rec_lite.course.build.notebooks import tags

MAX_CELLS, MAX_CHARACTERS = 60, 24_000

LEAST_QUESTIONS, MOST_QUESTIONS = 4, 6

#: Least length of the explanation of a choice, in characters.
LEAST_EXPLANATION = 15

QUESTION = re.compile(
    r"(.*?)<details>\s*<summary>Answer</summary>(.*?)</details>", re.DOTALL | re.IGNORECASE
)
CHOICE = re.compile(r"^[-*] \*\*([a-z])\*\*[ \t]+(\S.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)

CLAIM_TAG = "claim:"
CLAIM_ROWS = Path("docs") / "claims.csv"
CLAIM_COLUMNS = ["id", "lesson", "sentence", "command", "records", "seeds", "verdict"]


def within_budget(page: Page) -> Iterator[str]:
    """Require at most ``MAX_CELLS`` cells and ``MAX_CHARACTERS`` of source."""
    if not page.is_chapter:
        return
    cells = page.notebook.cells
    characters = sum(len(cell.source) for cell in cells)
    if len(cells) > MAX_CELLS:
        yield f"the lesson has {len(cells)} cells; at most {MAX_CELLS}"
    if characters > MAX_CHARACTERS:
        yield f"the lesson has {characters:,} characters of source; at most {MAX_CHARACTERS:,}"


def quick_questions(page: Page) -> Iterator[str]:
    """Require four to six quick questions whose answers explain every choice."""
    if not page.is_chapter:
        return
    count = 0
    for number, text in page.prose():
        for question, answer in QUESTION.findall(text):
            count += 1
            yield from (f"cell {number}: {fault}" for fault in _question(question, answer))
    if not LEAST_QUESTIONS <= count <= MOST_QUESTIONS:
        yield (
            f"the lesson has {count} quick questions; wanted {LEAST_QUESTIONS} to "
            f"{MOST_QUESTIONS}, each with <details><summary>Answer</summary>"
        )


def _question(question: str, answer: str) -> Iterator[str]:
    """Yield what is wrong with one quick question."""
    choices = [letter for letter, _ in CHOICE.findall(question)]
    explained = dict(CHOICE.findall(answer))
    if len(set(choices)) < max(2, len(choices)):
        yield "a quick question needs two or more choices, '- **a** text', each with its own letter"
    if set(choices) != set(explained):
        yield (
            f"the choices are {', '.join(choices) or 'none'}, the answer explains "
            f"{', '.join(explained) or 'none'}"
        )
    right = [letter for letter, text in explained.items() if text.startswith("Right")]
    if len(right) != 1:
        yield "the answer must say 'Right' at the start of one choice, and of one only"
    for letter, text in explained.items():
        if len(text) < LEAST_EXPLANATION:
            yield f"the answer must say why choice {letter} is right or wrong; it says {text!r}"


def read_claim_rows(root: Path) -> pd.DataFrame:
    """Return the rows of ``docs/claims.csv``, all as text.

    Args:
        root: the project's folder.

    Raises:
        ValueError: if the columns are not ``CLAIM_COLUMNS``, one of the first four fields is
            empty, or a row appears twice.
    """
    path = root / CLAIM_ROWS
    if not path.is_file():
        return pd.DataFrame(columns=CLAIM_COLUMNS)
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(rows) != CLAIM_COLUMNS:
        raise ValueError(f"{CLAIM_ROWS}: the columns are {list(rows)}; wanted {CLAIM_COLUMNS}")
    for number, row in enumerate(rows.to_dict("records"), 2):
        if empty := [name for name in CLAIM_COLUMNS[:4] if not row[name].strip()]:
            raise ValueError(f"{CLAIM_ROWS}, line {number}: {', '.join(empty)} is empty")
    if (twice := rows.duplicated(CLAIM_COLUMNS[:3])).any():
        raise ValueError(f"{CLAIM_ROWS}, line {int(twice.idxmax()) + 2}: the row appears twice")
    return rows


def claims_have_rows(page: Page) -> Iterator[str]:
    """Require a row of ``docs/claims.csv`` for each tagged cell, and a tagged cell for each row."""
    if not page.is_chapter:
        return
    rows = read_claim_rows(page.root)
    rows = rows[rows["lesson"] == page.path.name[:2]]
    cells: dict[str, str] = {}
    for number, cell in enumerate(page.notebook.cells, 1):
        for tag in tags(cell):
            if tag.startswith(CLAIM_TAG):
                name = tag.removeprefix(CLAIM_TAG)
                cells[name] = f"{cells.get(name, '')} {_one_line(cell.source)}"
                if name not in set(rows["id"]):
                    yield f"cell {number} is tagged {tag!r}; {CLAIM_ROWS} has no such row"
    for row in rows.to_dict("records"):
        if row["id"] not in cells:
            yield f"{CLAIM_ROWS} has {row['id']!r}; no cell is tagged '{CLAIM_TAG}{row['id']}'"
        elif _one_line(row["sentence"]) not in cells[row["id"]]:
            yield f"the cell tagged '{CLAIM_TAG}{row['id']}' does not say {row['sentence']!r}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
