"""Every exercise of the course: its solution passes, its stub is gentle, its mistakes are named."""

import contextlib
import io
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest

from m6rec_lite.course.build.exercise_stubs import answer_cells, stub
from m6rec_lite.course.build.mutation import without_magics
from m6rec_lite.course.exercises.engine import CORRECT, INCORRECT, NOT_ATTEMPTED, Exercise
from m6rec_lite.course.exercises.find_bottleneck import PROFILES, Row
from m6rec_lite.course.exercises.question import exercise_names, load_exercise
from m6rec_lite.course.paths import chapters
from m6rec_lite.language.text.byte_pairs import apply_merges, learn_merges
from tests.solutions import ANSWERS, ROOT, SOLUTIONS, solution, store_predictions

#: Those of one notebook stay in one process, which runs the notebook once.
DECLARED = [
    pytest.param(
        load_exercise(name), id=name, marks=pytest.mark.xdist_group(f"exercises-{path.stem[:2]}")
    )
    for name, path in SOLUTIONS.items()
]


@pytest.fixture(autouse=True)
def smoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("M6REC_SCALE", "smoke")
    monkeypatch.setenv("M6REC_RUN", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    store_predictions()


@pytest.mark.parametrize("declared", DECLARED)
def test_the_shipped_solution_passes(declared: Exercise) -> None:
    names, _ = solution(declared.id)
    verdict = declared.grade(names[declared.id])
    assert verdict.outcome == CORRECT, str(verdict)


@pytest.mark.parametrize("declared", DECLARED)
def test_the_untouched_stub_is_not_attempted(declared: Exercise) -> None:
    names, sources = solution(declared.id)
    namespace = dict(names)
    del namespace[declared.id]
    with contextlib.redirect_stdout(io.StringIO()):
        for source in sources:
            stubbed = stub(source)
            assert stubbed != source or len(sources) > 1, "nothing is left for the learner to write"
            exec(compile(without_magics(stubbed), "exercise", "exec"), namespace)
    verdict = declared.grade(namespace[declared.id])
    assert verdict.outcome == NOT_ATTEMPTED, str(verdict)


def _written_for_tests(declared: Exercise) -> dict[str, Any]:
    """What ``tests/exercises/NAME.py`` defines: CORRECT, and WRONG where there is any."""
    return runpy.run_path(str(ANSWERS / f"{declared.id}.py"))


@pytest.mark.parametrize("declared", DECLARED)
def test_known_mistakes_fail_each_with_its_own_message(declared: Exercise) -> None:
    mistakes = [(known.answer, known.message) for known in declared.known_wrong]
    mistakes += _written_for_tests(declared).get("WRONG", ())
    messages = [message for _, message in mistakes if message]
    assert len(messages) >= (5 if declared.expected is None else 3)
    assert len(set(messages)) == len(messages)
    assert all(len(known.message) > 20 for known in declared.known_wrong)
    for answer, message in mistakes:
        verdict = declared.grade(answer)
        assert verdict.outcome == INCORRECT, f"passes: {message}"
        assert message in verdict.message, f"expected {message!r}\n{verdict}"


@pytest.mark.parametrize("declared", DECLARED)
def test_right_answers_written_otherwise_pass(declared: Exercise) -> None:
    answers = _written_for_tests(declared)["CORRECT"]
    assert len(answers) >= 2
    for answer in answers:
        verdict = declared.grade(answer)
        assert verdict.outcome == CORRECT, str(verdict)


@pytest.mark.parametrize("declared", DECLARED)
def test_it_says_what_a_learner_needs(declared: Exercise) -> None:
    assert declared.title
    assert declared.notice
    assert declared.hints


def test_every_exercise_has_one_solution_and_answers_to_test() -> None:
    names = exercise_names()
    assert sorted(SOLUTIONS) == names
    assert sorted(path.stem for path in ANSWERS.glob("*.py")) == names
    cells = [
        name
        for path in chapters(ROOT / "solutions")
        for name in answer_cells(nbformat.read(path, as_version=4))
    ]
    assert len(cells) == len(set(cells))
    assert all(load_exercise(name).id == name for name in names)


@pytest.mark.parametrize("path", sorted(set(SOLUTIONS.values())), ids=lambda path: path.stem)
def test_a_lesson_has_three_exercises_or_more(path: Path) -> None:
    assert sum(other == path for other in SOLUTIONS.values()) >= 3


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
    ("name", "answer"),
    [("accumulate_gradients", _stacked_in_place), ("lift_scores", _popped)],
)
def test_an_answer_that_overwrites_its_input_is_not_correct(name, answer) -> None:
    verdict = load_exercise(name).grade(answer)
    assert verdict.outcome == INCORRECT
    assert "changes its input" in verdict.message


def test_bpe_merge_and_the_package_have_one_rule_for_ties() -> None:
    """Where only letters tie, the older symbols are the first in alphabetical order."""
    for case in load_exercise("bpe_merge").all_cases():
        (words,) = case.args
        if all(len(symbol) == 1 for word in words for symbol in word):
            [pair] = learn_merges({"".join(word): n for word, n in words.items()}, 1)
            joined = {"".join(word): apply_merges("".join(word), [pair]) for word in words}
            assert [list(word) for word in case.expected] == list(joined.values())
