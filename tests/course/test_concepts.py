"""The concept inventory: questions whose figures are stored, answers that stay on this machine."""

import collections
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from m6rec_lite import course
from m6rec_lite.course.concepts import LETTERS, PAGE, questions_page

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = course.concept_inventory().questions
RIGHT = "".join(question.right for question in QUESTIONS)


@pytest.fixture(autouse=True)
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("M6REC_RUN", str(tmp_path))
    return tmp_path


def shown_at(place):
    """Text and outputs of a notebook's cell, or a page's section."""
    path, _, part = place.partition("#")
    text = (ROOT / path).read_text(encoding="utf-8")
    if not path.endswith(".ipynb"):
        (section,) = re.findall(rf"^## {part}\b.*?(?=^## |\Z)", text, re.M | re.S)
        return section
    (cell,) = [cell for cell in json.loads(text)["cells"] if cell["id"] == part]
    return "\n".join(["".join(cell["source"]), *texts(cell.get("outputs", []))])


def texts(part):
    """All texts in outputs, pictures left out; a text may be a list of its lines."""
    if isinstance(part, list) and all(isinstance(line, str) for line in part):
        part = "".join(part)
    if isinstance(part, dict):
        part = [v for k, v in part.items() if k != "image/png" or isinstance(v, dict)]
    if isinstance(part, list):
        return [text for each in part for text in texts(each)]
    return [part] if isinstance(part, str) else []


def test_there_are_24_questions_two_thirds_of_them_on_the_first_twenty_lessons():
    assert len(QUESTIONS) == 24
    assert sum(question.lesson < "20" for question in QUESTIONS) == 16
    assert [q.lesson for q in QUESTIONS] == sorted(q.lesson for q in QUESTIONS)
    assert len({question.concept for question in QUESTIONS}) == 24


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.concept)
def test_every_choice_is_explained_and_the_right_one_has_an_interval_or_seeds(question):
    assert question.right in LETTERS
    assert list(question.choices) == list(question.why) == list(LETTERS)
    assert len(set(question.choices.values())) == 4
    assert re.search(r"\[[−.\d]+, [−.\d]+\]|±|seeds?\b", question.why[question.right])
    assert list(ROOT.glob(f"notebooks/{question.lesson}_*.ipynb"))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.concept)
def test_the_figures_stand_where_the_evidence_says(question):
    for place, figures in question.evidence.items():
        text = shown_at(place)
        missing = [figure for figure in figures if figure not in text]
        assert not missing, (
            f"{place} does not show {missing}: measure again, or correct concepts.toml"
        )


def plain(text):
    """Numbers of a text as digits, without signs and a zero before the point."""
    return {number.rstrip(".").lstrip("0") for number in re.findall(r"\d*\.\d+|\d+", text)}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.concept)
def test_numbers_in_brackets_come_from_the_evidence(question):
    """Rounded ones count, too."""
    stored = [float(n or 0) for n in plain(" ".join(map(shown_at, question.evidence)))]
    for why in question.why.values():
        for low, high in re.findall(r"\[−?([.\d]+), −?([.\d]+)\]", why):
            for number in (low, high):
                digits = len(number.partition(".")[2])
                assert any(round(n, digits) == float(number) for n in stored), f"{number}: {why}"


def test_letters_are_balanced_and_the_right_choice_is_not_the_longest():
    """Whoever looks at letters or lengths alone does no better than by chance."""
    assert set(collections.Counter(RIGHT).values()) == {6}
    longest = [max(q.choices, key=lambda letter: len(q.choices[letter])) for q in QUESTIONS]
    assert sum(a == b for a, b in zip(longest, RIGHT, strict=True)) <= 6


def test_the_page_has_the_questions_and_no_answer():
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page == questions_page(), "run: python -m m6rec_lite.course.concepts"
    assert course.concept_inventory()._repr_markdown_().count("**A**") == 24
    for question in QUESTIONS:
        assert question.text in page
        assert not any(why in page for why in question.why.values())


def test_answers_are_compared_by_lesson(capsys):
    inventory = course.concept_inventory()
    inventory.answer("before", "A" * 24)
    inventory.answer("before", {1: "c", 2: "-"})  # changed and taken back; a letter may be small
    assert "CA"[:1] + "-" + "A" * 22 in capsys.readouterr().out
    inventory.answer("after", " ".join(RIGHT))
    table = course.concept_inventory().compare()
    assert table.loc["02"].tolist() == [2, 0, 2]
    assert table.loc["all"].tolist() == [24, 1 + RIGHT[2:].count("A"), 24]
    assert table.loc["all", "questions"] == table["questions"].iloc[:-1].sum()


def test_without_answers_of_before_the_column_is_missing():
    inventory = course.concept_inventory()
    inventory.answer("after", RIGHT[:-1] + "-")
    table = inventory.compare()
    assert table["before"].isna().all()
    assert table.loc["all", "after"] == 23


def test_nothing_is_explained_before_the_answers_of_after(run):
    inventory = course.concept_inventory()
    inventory.answer("before", RIGHT)
    for show in (inventory.compare, inventory.explain):
        with pytest.raises(ValueError, match="come first"):
            show()
    inventory.answer("after", {3: "D"})
    text = inventory.explain().data
    assert QUESTIONS[0].why["A"] in text
    assert f"You: before {RIGHT[2]}, after D." in text
    for link in re.findall(r"\]\((\.\./[^)]+)\)", text):
        assert (ROOT / "notebooks" / link).is_file(), link


def test_answers_stay_once_they_are_shown(run, capsys):
    inventory = course.concept_inventory()
    inventory.answer("after", RIGHT)
    inventory.answer("before", RIGHT)  # too late
    inventory.compare()
    inventory.answer("after", "A" * 24)
    assert capsys.readouterr().out.count("stay") == 2
    stored = json.loads((run / "concept_inventory.json").read_text())
    assert stored["after"] == RIGHT
    assert "before" not in stored
    inventory.answer("after", ...)
    assert "to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("when", "answers", "message"),
    [
        ("later", "A" * 24, "before"),
        ("before", "A" * 23, "24 questions, and 23 answers"),
        ("before", "E" * 24, "got 'E'"),
        ("before", {25: "A"}, "1 to 24; got 25"),
        ("before", {1: "AB"}, "25 answers"),
        ("before", None, "got"),
    ],
)
def test_bad_answers_are_refused_and_nothing_is_stored(when, answers, message, run):
    with pytest.raises(ValueError, match=message):
        course.concept_inventory().answer(when, answers)
    assert not list(run.iterdir())


def test_a_class_has_a_row_for_each_question(run):
    wrong = "".join("A" if letter != "A" else "B" for letter in RIGHT)
    rows = [("a", "before", wrong), ("b", "before", RIGHT), ("a", "after", wrong)]
    path = run / "class.csv"
    pd.DataFrame(rows, columns=["name", "when", "answers"]).to_csv(path, index=False)
    table = course.concept_inventory().grade_class(path)
    assert table.index.tolist() == list(range(1, 25))
    assert (table["before"] == 0.5).all()
    assert (table["after"] == 0).all()
    assert "".join(table["still believed"]) == wrong


def test_a_class_without_answers_of_after(run):
    path = run / "class.csv"
    path.write_text(f"when,answers\nbefore,{RIGHT}\n")
    table = course.concept_inventory().grade_class(path)
    assert table["after"].isna().all()
    assert set(table["still believed"]) == {""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when\nbefore\n", "no column 'answers'"),
        (f"when,answers\nbefore,{RIGHT}\nthen,{RIGHT}\n", "row 2: when must be"),
        (f"when,answers\nbefore,{RIGHT}\nafter,AB\n", "row 2: there are 24 questions"),
    ],
)
def test_a_bad_file_of_a_class_is_refused(text, message, run):
    path = run / "class.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        course.concept_inventory().grade_class(path)
