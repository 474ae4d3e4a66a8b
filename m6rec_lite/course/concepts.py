"""The concept inventory: 24 multiple-choice questions, before and after the course::

    inventory = course.concept_inventory()
    inventory                                   # shows the questions
    inventory.answer("before", "CADB …")        # 24 letters, "-" for no answer
    inventory.answer("after", {1: "C", 2: "A"})  # or some of them, by number
    inventory.compare()                         # right answers by lesson, before and after
    inventory.explain()                         # what is right, and what was measured

The questions are in ``concepts.toml``; each wrong choice is a claim that a measurement of the
course contradicts. Answers are one JSON file in the run's folder (``M6REC_RUN``, else
``runs/notebook``); nothing is sent anywhere. ``python -m m6rec_lite.course.concepts`` writes
``docs/concepts.md``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd

from m6rec_lite.course.leaderboard import run_folder
from m6rec_lite.course.paths import project_root
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json

if TYPE_CHECKING:
    from IPython.display import Markdown

When = Literal["before", "after"]

LETTERS = "ABCD"
#: Stands for a question that is not answered.
NONE = "-"

FILE = "concept_inventory.json"
PAGE = Path("docs") / "concepts.md"

INTRODUCTION = """# Concept inventory

24 questions, to be answered before the course and again after it. Unless a question says otherwise,
models are asked for a person's next item, values are NDCG@10, and brackets are 95 % intervals over
people. *The bazaar* is a simulated shop whose true probabilities are known, with 4,600 people and
892 items. Where you do not know, give no answer: a guess says nothing about what you believe.
"""

HOW = """
In a notebook, `course.concept_inventory()` shows these questions, and stores 24 letters, `-` for no
answer, on your machine:

```python
inventory = course.concept_inventory()
inventory.answer("before", "------------------------")
```

After the course, `inventory.answer("after", …)`; then `inventory.compare()` counts the right
answers by lesson, and `inventory.explain()` shows what is right and the measurements behind it.

For teachers: the answers are in [concepts.toml](../m6rec_lite/course/concepts.toml). Collect the
letters in a CSV file with the columns `when` (`before` or `after`) and `answers`, a row for each
person and time. `inventory.grade_class("class.csv")` has a row for each question: the shares of
right answers, and the wrong choice that most people still hold.
"""


@dataclass(frozen=True)
class Question:
    """A question with four choices.

    Attributes:
        concept: what it tests, in a few words.
        lesson: number of the lesson that measures it.
        text: the question.
        right: letter of the right choice.
        choices: text of each choice, by letter.
        why: for each choice, why it is right or wrong, with the figures.
        evidence: cells of notebooks and sections of pages, such as ``docs/claims.md#name``, and the
            figures that they contain.
    """

    concept: str
    lesson: str
    text: str
    right: str
    choices: dict[str, str]
    why: dict[str, str]
    evidence: dict[str, list[str]]


class ConceptInventory:
    """The questions, and the answers of one learner. In a notebook it shows the questions.

    Attributes:
        questions: the questions, in the order of their numbers, which begin at 1.
    """

    def __init__(self) -> None:
        text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
        self.questions = tuple(
            Question(**entry | {"evidence": {e["at"]: e["figures"] for e in entry["evidence"]}})
            for entry in tomllib.loads(text)["question"]
        )

    def __repr__(self) -> str:
        return f"ConceptInventory({len(self.questions)} questions; a notebook shows them)"

    def _repr_markdown_(self) -> str:
        parts = [INTRODUCTION]
        for number, question in enumerate(self.questions, 1):
            choices = [f"- **{letter}** {text}" for letter, text in question.choices.items()]
            parts.append(f"**{number}.** {question.text}\n\n" + "\n".join(choices) + "\n")
        return "\n".join(parts)

    def answer(self, when: When, answers: str | Mapping[int, str] | EllipsisType) -> None:
        """Store answers.

        Answers may be changed: those of before until there are answers of after, and those until
        they are compared or explained.

        Args:
            when: ``"before"`` or ``"after"`` the course.
            answers: a letter for each question, ``-`` for none, spaces ignored; or letters by the
                number of the question, which are added to those that are stored. ``...`` stores
                nothing and says what to do, so that a notebook without answers runs.

        Raises:
            ValueError: if there are other letters, too many or too few, or no such question.
        """
        stored, n = self._read(), len(self.questions)
        if when not in get_args(When):
            raise ValueError(f'when must be "before" or "after"; got {when!r}')
        if answers is ...:
            print(f"Answers {when} the course: to do. Write {n} letters in place of `...`.")
            return
        if isinstance(answers, Mapping):
            if unknown := set(answers) - set(range(1, n + 1)):
                raise ValueError(f"questions have the numbers 1 to {n}; got {unknown.pop()!r}")
            letters = dict(enumerate(stored.get(when, NONE * n), 1)) | dict(answers)
            answers = "".join(map(str, letters.values()))
        checked = self._letters(answers)
        if ("after" if when == "before" else "shown") in stored:
            print(f"Answers {when} the course stay {stored.get(when, NONE * n)}. To begin again, "
                  f"delete {FILE} in the folder of the run.")  # fmt: skip
            return
        self._write(stored | {when: checked})
        print(f"Answers {when} the course: {checked}, {n - checked.count(NONE)} of {n} questions.")

    def compare(self) -> pd.DataFrame:
        """Count right answers by lesson; afterwards the answers cannot be changed.

        Returns:
            A row for each lesson, and a last one for all: the number of ``questions``, and of right
            answers ``before`` (missing if none were stored) and ``after``.

        Raises:
            ValueError: if there are no answers of after the course.
        """
        stored = self._shown()
        rows = pd.DataFrame({"lesson": [q.lesson for q in self.questions], "questions": 1})
        for when in get_args(When):
            right = pd.Series(self._right(stored[when]) if when in stored else pd.NA, rows.index)
            rows[when] = right.astype("Int64")
        table = rows.groupby("lesson").sum(min_count=1)
        table.loc["all"] = table.sum(min_count=1)
        return table

    def explain(self) -> Markdown:
        """Show for each question what is right and why; afterwards the answers cannot be changed.

        Raises:
            ValueError: if there are no answers of after the course.
        """
        from IPython.display import Markdown

        stored, parts = self._shown(), []
        for i, question in enumerate(self.questions):
            given = ", ".join(
                f"{when} {stored[when][i]}" for when in get_args(When) if when in stored
            )
            lines = [
                f"- **{letter}** {text}\n  *{question.why[letter]}*"
                for letter, text in question.choices.items()
            ]
            links = ", ".join(map(_link, question.evidence))
            parts += [
                f"**{i + 1}.** {question.text}",
                f"Right: **{question.right}**. You: {given}.",
            ]
            parts += ["\n".join(lines), f"Measured in {links}."]
        return Markdown("\n\n".join(parts))

    def grade_class(self, path: str | Path) -> pd.DataFrame:
        """Return the shares of right answers of a class.

        Args:
            path: a CSV file with the columns ``when`` and ``answers``, a row for each person and
                time; other columns are ignored.

        Returns:
            A row for each question: ``lesson``, ``concept``, shares of right answers ``before`` and
            ``after`` (NaN if nobody answered then; no answer counts as not right), and
            ``still believed``: the wrong letter that most people chose after, empty if none did.

        Raises:
            ValueError: if a column is missing, or a row has a wrong time or wrong letters.
        """
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        if missing := {"when", "answers"} - set(rows.columns):
            raise ValueError(f"{path} has no column {missing.pop()!r}; it needs when and answers")
        if len(other := rows[~rows["when"].isin(get_args(When))]):
            raise ValueError(f'{path}, row {other.index[0] + 1}: when must be "before" or "after"; '
                             f"got {other['when'].iloc[0]!r}")  # fmt: skip
        letters = {
            when: [self._letters(text, f"{path}, row {i + 1}: ") for i, text in group.items()]
            for when, group in rows.groupby("when")["answers"]
        }
        table = pd.DataFrame([(q.lesson, q.concept) for q in self.questions])
        table = table.set_axis(["lesson", "concept"], axis=1)
        for when in get_args(When):
            right = pd.DataFrame([self._right(text) for text in letters.get(when, [])])
            table[when] = right.mean() if len(right) else float("nan")
        wrong = [
            [text[i] for text in letters.get("after", []) if text[i] not in question.right + NONE]
            for i, question in enumerate(self.questions)
        ]
        table["still believed"] = [max(LETTERS, key=some.count) if some else "" for some in wrong]
        table.index = pd.RangeIndex(1, len(table) + 1, name="question")
        return table

    def _right(self, answers: str) -> list[bool]:
        """Return for each question whether a letter is the right one."""
        return [a == question.right for a, question in zip(answers, self.questions, strict=True)]

    def _letters(self, text: str, where: str = "") -> str:
        """Return a letter for each question.

        Raises:
            ValueError: if there are other letters, or not one for each question.
        """
        letters, n = "".join(str(text).upper().split()), len(self.questions)
        if other := set(letters) - set(LETTERS + NONE):
            raise ValueError(f"{where}an answer is A, B, C, D, or - for none; got {min(other)!r}")
        if len(letters) != n:
            raise ValueError(f"{where}there are {n} questions, and {len(letters)} answers; write - "
                             "where there is no answer")  # fmt: skip
        return letters

    def _shown(self) -> dict[str, str]:
        """Return the stored answers, which from now on cannot be changed."""
        stored = self._read()
        if "after" not in stored:
            raise ValueError(
                'the answers of after the course come first, as in inventory.answer("after", '
                f'"{NONE * len(self.questions)}"), since this shows what is right'
            )
        self._write(stored | {"shown": "yes"})
        return stored

    def _read(self) -> dict[str, str]:
        path = run_folder() / FILE
        return read_json(path) if path.is_file() else {}

    def _write(self, stored: dict[str, str]) -> None:
        write_text(run_folder() / FILE, json.dumps(stored, indent=1) + "\n")


def concept_inventory() -> ConceptInventory:
    """Return the concept inventory; in a notebook it shows its questions."""
    return ConceptInventory()


def questions_page() -> str:
    """Return the text of ``docs/concepts.md``: the questions without answers."""
    questions = ConceptInventory()._repr_markdown_().removeprefix(INTRODUCTION)
    return f"{INTRODUCTION}{HOW}{questions}"


def _link(place: str) -> str:
    """Return a link to evidence, from a notebook of the project."""
    path, _, part = place.partition("#")
    name = f"lesson {Path(path).name[:2]}, cell" if path.endswith(".ipynb") else Path(path).stem
    return f"[{name} `{part}`](../{path})"


if __name__ == "__main__":
    write_text(project_root() / PAGE, questions_page())
