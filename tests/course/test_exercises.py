"""Exercises: grading, verdicts, hints, and how solutions become exercises."""

import subprocess
import sys
from collections import deque

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from m6rec_lite.course.build import exercise_stubs
from m6rec_lite.course.exercises.comparison import difference, shorten
from m6rec_lite.course.exercises.engine import (
    CORRECT,
    INCORRECT,
    NOT_ATTEMPTED,
    Case,
    Exercise,
    KnownWrong,
    Wrong,
)
from m6rec_lite.course.exercises.question import Question, exercise, exercise_names

OFF_BY_ONE = "Ranks count from 0, so compare with <, not <=."
SUMMED = "That is the number of hits; a rate divides by the number of users."


def hit_rate(ranks, k):
    return float(np.mean(np.asarray(ranks) < k))


DECLARED = Exercise(
    id="hit_rate",
    title="Hit rate",
    cases=(
        Case(args=([0, 3, 9], 3), expected=1 / 3, note="rank 3 is the fourth place"),
        Case(args=([2, 2], 2), expected=0.0),
    ),
    known_wrong=(
        KnownWrong(lambda ranks, k: float(np.mean(np.asarray(ranks) <= k)), OFF_BY_ONE),
        KnownWrong(lambda ranks, k: int((np.asarray(ranks) < k).sum()), SUMMED),
        KnownWrong(lambda ranks, k: ranks < k, "Lists have no <; make an array first."),
    ),
    hints=("What is rank 0?", "Compare, then take the mean."),
    notice="Place 1 and place 10 count the same.",
)


def test_a_right_answer_is_correct_and_told_what_to_notice():
    verdict = DECLARED.grade(hit_rate)
    assert verdict.outcome == CORRECT
    assert verdict.message == DECLARED.notice


@pytest.mark.parametrize("answer", [None, ...])
def test_nothing_is_not_attempted(answer):
    assert DECLARED.grade(answer).outcome == NOT_ATTEMPTED


def test_a_stub_is_not_attempted():
    def todo(ranks, k):
        raise NotImplementedError("your turn")

    assert DECLARED.grade(todo).outcome == NOT_ATTEMPTED


@pytest.mark.parametrize("known", DECLARED.known_wrong, ids=range(3))
def test_a_known_mistake_is_named_whoever_makes_it(known):
    verdict = DECLARED.grade(lambda ranks, k: known.answer(ranks, k))
    assert verdict.outcome == INCORRECT
    assert verdict.message == known.message


def test_an_unknown_mistake_tells_input_output_and_what_was_wanted():
    verdict = DECLARED.grade(lambda ranks, k: 0.5)
    assert verdict.outcome == INCORRECT
    assert verdict.message == ""
    assert verdict.inputs == "hit_rate(ranks=[0, 3, 9], k=3)  (rank 3 is the fourth place)"
    assert verdict.output == "0.5"
    assert verdict.expected == "0.333333"
    assert "output: 0.5" in str(verdict)
    assert "expected:</b> 0.333333" in verdict._repr_html_()


def test_a_known_mistake_is_named_by_the_failing_case_alone():
    verdict = DECLARED.grade(lambda ranks, k: 2 / 3 if len(ranks) == 3 else 0.0)
    assert verdict.outcome == INCORRECT
    assert verdict.message == OFF_BY_ONE  # `<=` gives 2/3 there too, though 1 on the second case


def test_of_several_known_mistakes_that_agree_the_one_is_named_that_agrees_on_most_cases():
    declared = Exercise(
        id="double", title="t", notice="n", hints=("h",),
        cases=(Case((3,), 6), Case((1,), 2), Case((5,), 10)),
        known_wrong=(
            KnownWrong(lambda x: 9, "That is always 9."),
            KnownWrong(lambda x: x * x, "That squares."),
            KnownWrong(lambda x: x**2 if x < 4 else 0, "That squares small numbers."),
        ),
    )  # fmt: skip
    assert declared.grade(lambda x: x**2).message == "That squares."
    assert declared.grade(lambda x: x**2 if x < 4 else 7).message == "That squares."
    assert declared.grade(lambda x: 9 if x == 3 else 7).message == "That is always 9."
    assert declared.grade(lambda x: 8).message == ""


def test_an_error_is_a_known_mistake_only_with_the_same_text():
    assert DECLARED.grade(lambda ranks, k: ranks < k).message.startswith("Lists have no <")
    assert DECLARED.grade(lambda ranks, k: k + "a").message == ""


def test_the_input_is_shown_with_the_parameter_names_of_the_answer():
    assert DECLARED.grade(lambda a, b: 0.5).inputs.startswith("hit_rate(a=[0, 3, 9], b=3)")
    assert DECLARED.grade(lambda a: 0.5).inputs.startswith("hit_rate([0, 3, 9], 3)")
    declared = _of(cases=(Case(([1],), 1, kwargs={"pause": 5}),))
    assert declared.grade(lambda x, pause=3: 0).inputs == "answer(x=[1], pause=5)"
    assert declared.grade(max).inputs.startswith("answer([1], pause=5)")
    declared = _of(cases=(Case((np.zeros((3, 2)), np.arange(60)), 1),))
    assert declared.grade(lambda x, y: 0).inputs.splitlines() == [
        "answer(",
        "    x=array of shape (3, 2): [[0., 0.], [0., 0.], [0., 0.]],",
        "    y=array of shape (60,): [ 0, 1, 2, ..., 57, 58, 59],",
        ")",
    ]


def test_the_first_differing_element_is_shown():
    declared = _of(cases=(Case((), np.array([[1.0, 0.25], [2.0, 3.0]])),))
    verdict = declared.grade(lambda: np.array([[1.0, 0.5], [2.0, 0.0]]))
    assert verdict.difference == "at index [0, 1]: 0.5, expected 0.25"
    assert "first difference: at index [0, 1]" in str(verdict)
    verdict = declared.grade(lambda: np.array([1.0, 0.25]))
    assert verdict.difference == "shape (2,) where (2, 2) was expected"


def test_an_answer_that_raises_is_told_with_its_error():
    verdict = DECLARED.grade(lambda ranks, k: 1 / 0)
    assert verdict.outcome == INCORRECT
    assert verdict.output == "ZeroDivisionError: division by zero"


def test_a_value_in_place_of_the_function_is_told_so():
    verdict = DECLARED.grade(hit_rate([0, 1], 1))
    assert verdict.outcome == INCORRECT
    assert "q.check(hit_rate)" in verdict.message


def test_a_missing_return_is_told_so():
    assert "return" in DECLARED.grade(lambda ranks, k: None).output


def test_an_answer_cannot_spoil_the_cases_for_the_next():
    def greedy(ranks, k):
        rate = hit_rate(ranks, k)
        ranks.clear()
        return rate

    for _ in range(2):
        verdict = DECLARED.grade(greedy)
        assert verdict.outcome == INCORRECT
        assert "changes its input" in verdict.message
    assert DECLARED.grade(hit_rate).outcome == CORRECT


def _of(**how):
    return Exercise(
        id="answer", title="t", notice="n", hints=("h",), known_wrong=(
            KnownWrong(0.5, "A prefix that occurs once was counted twice."),
        ), **how,
    )  # fmt: skip


def test_values_are_graded_without_telling_the_right_one():
    declared = _of(expected=0.25)
    assert declared.grade(1 / 4).outcome == CORRECT
    assert declared.grade(np.float32(0.25)).outcome == CORRECT
    wrong = declared.grade(0.5)
    assert wrong.message == "A prefix that occurs once was counted twice."
    assert "0.25" not in str(wrong)
    assert declared.grade(0.7).outcome == INCORRECT
    assert _of(expected="lamp").grade(" Lamp").outcome == CORRECT


def test_a_check_of_its_own_raises_wrong():
    def check(answer):
        if answer(2) != 4:
            raise Wrong("That doubles; square it.", inputs=3, output=answer(3), expected=9)

    declared = _of(check=check)
    assert declared.grade(lambda x: x * x).outcome == CORRECT
    verdict = declared.grade(lambda x: x + 1)
    assert (verdict.message, verdict.inputs, verdict.output, verdict.expected) == (
        "That doubles; square it.", "3", "4", "9",
    )  # fmt: skip
    assert declared.grade(lambda x: x.nothing).outcome == INCORRECT
    assert declared.grade(...).outcome == NOT_ATTEMPTED


@pytest.mark.parametrize("how", [{}, {"expected": 1, "check": print}])
def test_an_exercise_is_judged_in_exactly_one_way(how):
    with pytest.raises(ValueError, match=r"exactly one of cases, expected and check"):
        _of(**how)


def test_cases_may_be_made_when_they_are_needed():
    declared = _of(cases=lambda: (Case(args=(2,), expected=4),))
    assert declared.grade(lambda x: x * x).outcome == CORRECT


def test_check_shows_and_raises_only_when_strict(monkeypatch, capsys):
    question = Question(DECLARED)
    monkeypatch.delenv("M6REC_STRICT", raising=False)
    question.check(lambda ranks, k: 0.5)
    assert "INCORRECT" in capsys.readouterr().out
    monkeypatch.setenv("M6REC_STRICT", "1")
    question.check(hit_rate)
    with pytest.raises(AssertionError, match="hit_rate"):
        question.check(lambda ranks, k: 0.5)


def test_hints_come_one_by_one_and_the_last_stays(capsys):
    question = Question(DECLARED)
    for _ in range(3):
        question.hint()
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "Hint 1 of 2: What is rank 0?",
        "Hint 2 of 2: Compare, then take the mean.",
        "Hint 2 of 2: Compare, then take the mean.",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mf_step", "close names: mf_sgd_step"), ("01.2", "names look like"), ("engine", "names")],
)
def test_an_unknown_exercise_is_told_with_names_that_are_close(name, hint):
    with pytest.raises(ValueError, match=f"no exercise '{name}'; .*{hint}"):
        exercise(name)


def test_one_exercise_is_imported_without_the_others():
    program = (
        "import sys; from m6rec_lite import course; course.exercise('hit_rate');"
        "print(*[m.rpartition('.')[2] for m in sys.modules if 'course.exercises.' in m])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert set(shown.stdout.split()) == {"hit_rate", "engine", "comparison", "question"}
    assert {"hit_rate", "mf_sgd_step"} <= set(exercise_names())


# ---------------------------------------------------------------- comparison


@given(st.lists(st.floats(-1e6, 1e6), max_size=5))
def test_lists_tuples_and_arrays_of_numbers_are_one_kind(values):
    assert not difference(values, tuple(values), 1e-9)
    assert not difference(np.array(values), values, 1e-9)
    assert difference([*values, 1.0], values, 1e-9)


EQUAL = [
    (1, 1.0),
    (np.bool_(True), True),
    (np.float32(0.5), 0.5),
    ("a", "a"),
    (np.str_("a"), "a"),
    (None, None),
    (float("nan"), float("nan")),
    (-np.inf, -np.inf),
    ({"a": 1.0}, {"a": 1}),
    ({1, 2}, frozenset({2, 1})),
    (["a", 1.0], ("a", 1)),
    ([[1.0], [1.0, 2.0]], [[1], [1, 2]]),
    ([np.ones(2), np.zeros(2)], np.array([[1, 1], [0, 0]])),
    (sparse.csr_array(np.eye(2)), np.eye(2)),
    (pd.Series([1, 2]), [1, 2]),
    (pd.Series([1, 2], index=["a", "b"]), {"a": 1, "b": 2}),
    (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 2]})),
    (np.array(["x", "y"]), ["x", "y"]),
    ([], []),
    (deque([1, 2]), [1, 2]),
    (range(2), [0, 1]),
]
DIFFERENT = [
    (True, 1.0, "a bool where a number was expected"),
    (1, True, "a number where a bool was expected"),
    (np.ones(2), np.ones(2, dtype=bool),
     "an array of numbers where an array of bools was expected"),
    ("a", 1, "text where a number was expected"),
    (1, "a", "a number where text was expected"),
    ("a", "b", "'a', expected 'b'"),
    (None, 0.0, "None where a number was expected"),
    (0.0, None, "a number where None was expected"),
    (max, 1.0, "a function where a number was expected"),
    (0.0, float("nan"), "0, expected nan"),
    (0.25, 0.5, "0.25, expected 0.5"),
    (0.500001, 0.5000009, "0.500001, expected 0.5000009"),
    (np.ones((2, 1)), np.ones(2), "shape (2, 1) where (2,) was expected"),
    (np.ones(1), 1.0, "an array of numbers where a number was expected"),
    ([1.0, 0.5], [1.0, 0.25], "at index [1]: 0.5, expected 0.25"),
    ([[1.0], [1.0, 3.0]], [[1], [1, 2]], "at index [1][1]: 3, expected 2"),
    ((np.ones(2), np.ones(3)), [np.ones(2), np.ones(2)],
     "at index [1]: shape (3,) where (2,) was expected"),
    (["a", "b"], ["a"], "length 2 where 1 was expected"),
    ({"a": 1.0}, {"b": 1.0}, "the result lacks 'b'"),
    ({"a": 1.0, "b": 2}, {"b": 2}, "the result should not have 'a'"),
    ({"a": [1, 2]}, {"a": [1, 3]}, "at index ['a'][1]: 2, expected 3"),
    ([1, 2], {1, 2}, "an array of numbers where a set was expected"),
    ({1}, {1, 2}, "the result lacks 2"),
    (pd.DataFrame({"a": [1, 3]}), pd.DataFrame({"a": [1, 2]}), "at index ['a'][1]: 3, expected 2"),
    (pd.DataFrame({"b": [1, 2]}), pd.DataFrame({"a": [1, 2]}), "the result lacks 'a'"),
]  # fmt: skip


@pytest.mark.parametrize(("output", "expected"), EQUAL, ids=[str(row) for row in EQUAL])
def test_values_that_agree(output, expected):
    assert difference(output, expected, 1e-9) == ""


@pytest.mark.parametrize(
    ("output", "expected", "text"), DIFFERENT, ids=[text for _, _, text in DIFFERENT]
)
def test_the_first_difference_is_named(output, expected, text):
    assert difference(output, expected, 1e-9) == text


def test_torch_tensors_are_numbers_too():
    torch = pytest.importorskip("torch")
    assert not difference(torch.ones(2, requires_grad=True), [1.0, 1.0], 1e-6)


def test_long_values_are_told_short():
    assert len(shorten(list(range(10_000)))) < 260
    assert shorten(np.zeros((3, 2))).startswith("array of shape (3, 2)")
    assert len(shorten(np.random.default_rng(0).random((500, 500)))) < 260


# ---------------------------------------------------------------- stubs


def test_a_region_in_a_function_becomes_a_gentle_error():
    source = (
        "# exercise f\ndef f(x):\n    '''Twice.'''\n    ### BEGIN SOLUTION\n    y = 2\n"
        "    return x * y\n    ### END SOLUTION\nz = 1"
    )
    stubbed = exercise_stubs.stub(source)
    assert "return" not in stubbed
    assert stubbed.endswith("z = 1")
    namespace = {}
    exec(stubbed, namespace)
    with pytest.raises(NotImplementedError, match="your turn"):
        namespace["f"](1)


def test_a_region_at_the_margin_leaves_its_names_as_dots():
    source = "### BEGIN SOLUTION\nimport math\na, b = 1, 2\ndef f():\n    c = 3\n### END SOLUTION"
    namespace = {}
    exec(exercise_stubs.stub(source), namespace)
    assert namespace["a"] is namespace["b"] is namespace["f"] is ...
    assert "c" not in namespace


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("### BEGIN SOLUTION\na = 1", "without '### END"),
        ("a = 1\n### END SOLUTION", "without '### BEGIN"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\na = 1\n### END SOLUTION", "second"),
        ("### BEGIN SOLUTION\nprint(1)\n### END SOLUTION", "assigns no name"),
        ("### BEGIN SOLUTION\na = = 1\n### END SOLUTION", "not Python"),
    ],
)
def test_marks_that_do_not_pair_up_are_told_with_their_cell(source, why):
    with pytest.raises(exercise_stubs.RegionError, match=why) as raised:
        exercise_stubs.stub(source, "01_x.ipynb, cell 3")
    assert "01_x.ipynb, cell 3" in str(raised.value)


@pytest.fixture
def project(tmp_path):
    """A small project with one solution notebook."""
    for folder in ("notebooks", "solutions", "exercises", "m6rec_lite"):
        (tmp_path / folder).mkdir()
    code, prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    answer = code(
        "# exercise f\ndef f(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION",
        id="answer",
        execution_count=7,
        metadata={"execution": {"when": "now"}, "tags": ["kept"]},
        outputs=[nbformat.v4.new_output("stream", text="secret")],
    )
    secret = code("f(1)", id="secret", metadata={"tags": ["solution-only"]})
    notebook = nbformat.v4.new_notebook(cells=[prose("# Exercises", id="title"), answer, secret])
    notebook.metadata["m6rec"] = {"freshness": "abc"}
    nbformat.write(notebook, tmp_path / "solutions" / "90_small.ipynb")
    return tmp_path


def test_exercises_hold_no_answer_no_output_and_no_trace_of_a_run(project):
    ((path, text),) = exercise_stubs.generate(project)
    assert path == project / "exercises" / "90_small.ipynb"
    assert "return x" not in text
    assert "secret" not in text
    made = nbformat.reads(text, as_version=4)
    nbformat.validate(made)
    assert [cell.id for cell in made.cells] == ["title", "answer"]
    assert made.cells[1].execution_count is None
    assert made.cells[1].metadata == {"tags": ["kept"]}
    assert made.metadata["m6rec"] == {"generated_from": "solutions/90_small.ipynb"}
    assert [text for _, text in exercise_stubs.generate(project)] == [text]


def test_the_solution_shows_the_source_without_marks(project):
    source = exercise_stubs.solution_source("f", project)
    assert source == "# exercise f\ndef f(x):\n    return x"
    with pytest.raises(ValueError, match="no cell in solutions/ begins with '# exercise g'"):
        exercise_stubs.solution_source("g", project)
    (project / "solutions" / "90_small.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="repository"):
        exercise_stubs.solution_source("f", project)
