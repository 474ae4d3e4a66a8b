"""Every exercise of the course: its solution passes, its stub is gentle, its mistakes are named."""

import contextlib
import functools
import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import pytest

from m6rec_lite.course.checks.bottlenecks import PROFILES, Row
from m6rec_lite.course.exercises import CORRECT, INCORRECT, NOT_ATTEMPTED, Exercise, exercises
from m6rec_lite.course.places import chapters
from m6rec_lite.course.regions import answer_cells, stub
from m6rec_lite.language.text.byte_pairs import apply_merges, learn_merges

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = {path.name[:2]: path for path in chapters(ROOT / "solutions")}
CHECKS = sorted((ROOT / "m6rec_lite" / "course" / "checks").glob("ch[0-9][0-9].py"))

DECLARED = [
    pytest.param(declared, id=number, marks=pytest.mark.xdist_group(f"exercises-{path.stem[2:]}"))
    for path in CHECKS
    for number, declared in exercises(path.stem[2:]).items()
]


def _plain(source: str) -> str:
    """A cell without its IPython lines."""
    return re.sub(r"^\s*[%!].*$", "pass", source, flags=re.MULTILINE)


@functools.cache
def _answers(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """By exercise: the names known once its cells have run, and the sources of these cells.

    The notebook runs here at smoke scale, from the top to the last cell that answers something.
    """
    notebook = nbformat.read(path, as_version=4)
    places = answer_cells(notebook)
    last_of = {cells[-1]: number for number, cells in places.items()}
    known: dict[str, dict[str, Any]] = {}
    namespace: dict[str, Any] = {"__name__": "__main__"}
    mpl.use("agg")
    with contextlib.chdir(path.parent), contextlib.redirect_stdout(io.StringIO()):
        for place, cell in enumerate(notebook.cells[: max(last_of, default=-1) + 1]):
            if cell.cell_type != "code":
                continue
            exec(compile(_plain(cell.source), f"{path.name}, cell {place + 1}", "exec"), namespace)
            if place in last_of:
                known[last_of[place]] = dict(namespace)
    sources = {
        number: [notebook.cells[p].source for p in cells] for number, cells in places.items()
    }
    return known, sources


@pytest.fixture(autouse=True)
def smoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("M6REC_SCALE", "smoke")
    monkeypatch.setenv("M6REC_RUN", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")


def _solution(declared: Exercise) -> tuple[dict[str, Any], list[str]]:
    path = SOLUTIONS.get(declared.id[:2])
    assert path is not None, f"no solutions/{declared.id[:2]}_….ipynb"
    known, sources = _answers(path)
    assert declared.id in known, f"{path.name} has no cell '# exercise {declared.id}'"
    assert declared.answer in known[declared.id], f"that cell does not define {declared.answer}"
    return known[declared.id], sources[declared.id]


@pytest.mark.parametrize("declared", DECLARED)
def test_the_shipped_solution_passes(declared: Exercise) -> None:
    names, _ = _solution(declared)
    verdict = declared.grade(names[declared.answer])
    assert verdict.outcome == CORRECT, str(verdict)


@pytest.mark.parametrize("declared", DECLARED)
def test_the_untouched_stub_is_not_attempted(declared: Exercise) -> None:
    names, sources = _solution(declared)
    namespace = dict(names)
    del namespace[declared.answer]
    with contextlib.redirect_stdout(io.StringIO()):
        for source in sources:
            stubbed = stub(source)
            assert stubbed != source or len(sources) > 1, "nothing is left for the learner to write"
            exec(compile(_plain(stubbed), "exercise", "exec"), namespace)
    verdict = declared.grade(namespace[declared.answer])
    assert verdict.outcome == NOT_ATTEMPTED, str(verdict)


@pytest.mark.parametrize("declared", DECLARED)
def test_known_mistakes_fail_each_with_its_own_message(declared: Exercise) -> None:
    assert len(declared.known_wrong) >= 3
    messages = [known.because for known in declared.known_wrong]
    assert len(set(messages)) == len(messages)
    assert all(len(message) > 20 for message in messages)
    for known in declared.known_wrong:
        verdict = declared.grade(known.answer)
        assert verdict.outcome == INCORRECT, f"passes: {known.because}"
        assert known.because in verdict.because, f"wanted {known.because!r}\n{verdict}"


@pytest.mark.parametrize("declared", DECLARED)
def test_right_answers_written_otherwise_pass(declared: Exercise) -> None:
    assert declared.correct_alternatives
    for answer in declared.correct_alternatives:
        verdict = declared.grade(answer)
        assert verdict.outcome == CORRECT, str(verdict)


@pytest.mark.parametrize("declared", DECLARED)
def test_it_says_what_a_learner_needs(declared: Exercise) -> None:
    assert declared.title
    assert declared.notice
    assert declared.hints


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_a_chapter_has_three_exercises_or_more_with_numbers_of_their_own(path: Path) -> None:
    import importlib

    module = importlib.import_module(f"m6rec_lite.course.checks.{path.stem}")
    numbers = [declared.id for declared in module.EXERCISES]
    assert len(numbers) >= 3
    assert len(set(numbers)) == len(numbers)
    assert all(number.startswith(f"{path.stem[2:]}.") for number in numbers)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_total_of_a_profiled_step_is_the_sum_of_its_parts(profile: str) -> None:
    step, *parts = map(Row._make, PROFILES[profile])
    assert step.total == step.own + sum(row.own for row in parts if row.kind != "data")


def _stacked_in_place(gradients, counts):
    for gradient, count in zip(gradients, counts, strict=True):
        gradient *= count / sum(counts)
    return sum(gradients)


def _popped(person, nobody):
    for one in [*person, *nobody]:
        one.pop()
    return [sum(a) / len(a) - sum(b) / len(b) for a, b in zip(person, nobody, strict=True)]


@pytest.mark.parametrize(
    ("number", "answer"),
    [("11.5", _stacked_in_place), ("09.1", _popped)],
    ids=["11.5", "09.1"],
)
def test_an_answer_that_overwrites_its_input_is_not_correct(number, answer) -> None:
    verdict = exercises(number[:2])[number].grade(answer)
    assert verdict.outcome == INCORRECT
    assert "changes its input" in verdict.because


def test_exercise_06_1_and_the_chapter_have_one_rule_for_ties() -> None:
    """Where only letters tie, the older symbols are the first in alphabetical order."""
    for case in exercises("06")["06.1"].cases():
        (words,) = case.args
        if all(len(symbol) == 1 for word in words for symbol in word):
            [pair] = learn_merges({"".join(word): n for word, n in words.items()}, 1)
            joined = {"".join(word): apply_merges("".join(word), [pair]) for word in words}
            assert [list(word) for word in case.wanted] == list(joined.values())
