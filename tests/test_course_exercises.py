"""Exercises: grading, verdicts, hints, and how solutions become exercises."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from m6rec_lite.course import regions
from m6rec_lite.course.exercises import (
    CORRECT,
    INCORRECT,
    NOT_ATTEMPTED,
    Case,
    Exercise,
    KnownWrong,
    Question,
    Wrong,
    exercise,
)
from m6rec_lite.course.grading import same, shorten

OFF_BY_ONE = "Ranks count from 0, so compare with <, not <=."
SUMMED = "That is the number of hits; a rate divides by the number of users."


def hit_rate(ranks, k):
    return float(np.mean(np.asarray(ranks) < k))


DECLARED = Exercise(
    id="90.1",
    title="Hit rate",
    answer="hit_rate",
    cases=(
        Case(args=([0, 3, 9], 3), wanted=1 / 3, note="rank 3 is the fourth place"),
        Case(args=([2, 2], 2), wanted=0.0),
    ),
    known_wrong=(
        KnownWrong(lambda ranks, k: float(np.mean(np.asarray(ranks) <= k)), OFF_BY_ONE),
        KnownWrong(lambda ranks, k: int((np.asarray(ranks) < k).sum()), SUMMED),
        KnownWrong(lambda ranks, k: ranks < k, "Lists have no <; make an array first."),
    ),
    correct_alternatives=(lambda ranks, k: sum(r < k for r in ranks) / len(ranks),),
    hints=("What is rank 0?", "Compare, then take the mean."),
    notice="Place 1 and place 10 count the same.",
)


def test_a_right_answer_is_correct_and_told_what_to_notice():
    verdict = DECLARED.grade(hit_rate)
    assert verdict.outcome == CORRECT
    assert verdict.because == DECLARED.notice
    assert DECLARED.grade(DECLARED.correct_alternatives[0]).outcome == CORRECT


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
    assert verdict.because == known.because


def test_an_unknown_mistake_tells_input_output_and_what_was_wanted():
    verdict = DECLARED.grade(lambda ranks, k: 0.5)
    assert verdict.outcome == INCORRECT
    assert verdict.because == ""
    assert verdict.given == "[0, 3, 9], 3 (rank 3 is the fourth place)"
    assert verdict.got == "0.5"
    assert verdict.wanted == "0.333333"
    assert "came out: 0.5" in str(verdict)
    assert "wanted:</b> 0.333333" in verdict._repr_html_()


def test_one_wrong_case_is_not_a_known_mistake_that_fails_elsewhere():
    """Right on the second case only: it behaves as no known mistake does."""
    verdict = DECLARED.grade(lambda ranks, k: 2 / 3 if len(ranks) == 3 else 0.0)
    assert verdict.outcome == INCORRECT
    assert verdict.because == ""  # `<=` gives 2/3 on the first case too, but 1 on the second


def test_an_answer_that_raises_is_told_with_its_error():
    verdict = DECLARED.grade(lambda ranks, k: 1 / 0)
    assert verdict.outcome == INCORRECT
    assert verdict.got == "ZeroDivisionError: division by zero"


def test_a_value_in_place_of_the_function_is_told_so():
    verdict = DECLARED.grade(hit_rate([0, 1], 1))
    assert verdict.outcome == INCORRECT
    assert "q.check(hit_rate)" in verdict.because


def test_a_missing_return_is_told_so():
    assert "return" in DECLARED.grade(lambda ranks, k: None).got


def test_an_answer_cannot_spoil_the_cases_for_the_next():
    def greedy(ranks, k):
        rate = hit_rate(ranks, k)
        ranks.clear()
        return rate

    for _ in range(2):
        verdict = DECLARED.grade(greedy)
        assert verdict.outcome == INCORRECT
        assert "changes its input" in verdict.because
    assert DECLARED.grade(hit_rate).outcome == CORRECT


def _of(**how):
    return Exercise(
        id="90.2", title="t", answer="answer", notice="n", hints=("h",), known_wrong=(
            KnownWrong(0.5, "A prefix that occurs once was counted twice."),
        ), correct_alternatives=(), **how,
    )  # fmt: skip


def test_values_are_graded_without_telling_the_right_one():
    declared = _of(wanted=0.25)
    assert declared.grade(1 / 4).outcome == CORRECT
    assert declared.grade(np.float32(0.25)).outcome == CORRECT
    wrong = declared.grade(0.5)
    assert wrong.because == "A prefix that occurs once was counted twice."
    assert "0.25" not in str(wrong)
    assert declared.grade(0.7).outcome == INCORRECT


def test_a_check_of_its_own_raises_wrong():
    def check(answer):
        if answer(2) != 4:
            raise Wrong("That doubles; square it.", given=3, got=answer(3), wanted=9)

    declared = _of(check=check)
    assert declared.grade(lambda x: x * x).outcome == CORRECT
    verdict = declared.grade(lambda x: x + 1)
    assert (verdict.because, verdict.given, verdict.got, verdict.wanted) == (
        "That doubles; square it.", "3", "4", "9",
    )  # fmt: skip
    assert declared.grade(lambda x: x.nothing).outcome == INCORRECT
    assert declared.grade(...).outcome == NOT_ATTEMPTED


@pytest.mark.parametrize("how", [{}, {"wanted": 1, "check": print}])
def test_an_exercise_is_judged_in_exactly_one_way(how):
    with pytest.raises(ValueError, match=r"exactly one of cases, wanted and check"):
        _of(**how)


def test_cases_may_be_made_when_they_are_needed():
    declared = _of(cases=lambda: (Case(args=(2,), wanted=4),))
    assert declared.grade(lambda x: x * x).outcome == CORRECT


def test_check_shows_and_raises_only_when_strict(monkeypatch, capsys):
    question = Question(DECLARED)
    monkeypatch.delenv("M6REC_STRICT", raising=False)
    question.check(lambda ranks, k: 0.5)
    assert "INCORRECT" in capsys.readouterr().out
    monkeypatch.setenv("M6REC_STRICT", "1")
    question.check(hit_rate)
    with pytest.raises(AssertionError, match=r"90\.1"):
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


@pytest.mark.parametrize("number", ["99.1", "1.2", ""])
def test_an_unknown_exercise_is_told_with_those_there_are(number):
    with pytest.raises(ValueError, match=r"no exercise"):
        exercise(number)


# ---------------------------------------------------------------- sameness


@given(st.lists(st.floats(-1e6, 1e6), max_size=5))
def test_lists_tuples_and_arrays_of_numbers_are_one_kind(values):
    assert same(values, tuple(values), 1e-9)
    assert same(np.array(values), values, 1e-9)
    assert not same([*values, 1.0], values, 1e-9)


@pytest.mark.parametrize(
    ("got", "wanted", "equal"),
    [
        (1, 1.0, True),
        (True, 1.0, False),
        (np.bool_(True), True, True),
        (1, True, False),
        ("a", "a", True),
        ("a", 1, False),
        (1, "a", False),
        (None, 0.0, False),
        (float("nan"), float("nan"), True),
        (float("nan"), 0.0, False),
        (-np.inf, -np.inf, True),
        (np.ones((2, 1)), np.ones(2), False),
        ({"a": 1.0}, {"a": 1}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        ({1, 2}, {2, 1}, True),
        ([1, 2], {1, 2}, False),
        (["a", 1.0], ("a", 1), True),
        ([[1.0], [1.0, 2.0]], [[1], [1, 2]], True),
        ([[1.0], [1.0, 3.0]], [[1], [1, 2]], False),
        (sparse.csr_array(np.eye(2)), np.eye(2), True),
        (pd.Series([1, 2]), [1, 2], True),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 2]}), True),
        (pd.DataFrame({"a": [1, 3]}), pd.DataFrame({"a": [1, 2]}), False),
        (pd.DataFrame({"b": [1, 2]}), pd.DataFrame({"a": [1, 2]}), False),
        (np.array(["x", "y"]), ["x", "y"], True),
    ],
)
def test_sameness(got, wanted, equal):
    assert same(got, wanted, 1e-6) is equal


def test_torch_tensors_are_numbers_too():
    torch = pytest.importorskip("torch")
    assert same(torch.ones(2, requires_grad=True), [1.0, 1.0], 1e-6)


def test_long_values_are_told_short():
    assert len(shorten(list(range(10_000)))) < 260
    assert shorten(np.zeros((3, 2))).startswith("array of shape (3, 2)")
    assert len(shorten(np.random.default_rng(0).random((500, 500)))) < 260


# ---------------------------------------------------------------- regions


def test_a_region_in_a_function_becomes_a_gentle_error():
    source = (
        "# exercise 01.2\ndef f(x):\n    '''Twice.'''\n    ### BEGIN SOLUTION\n    y = 2\n"
        "    return x * y\n    ### END SOLUTION\nz = 1"
    )
    stubbed = regions.stub(source)
    assert "return" not in stubbed
    assert stubbed.endswith("z = 1")
    namespace = {}
    exec(stubbed, namespace)
    with pytest.raises(NotImplementedError, match="your turn"):
        namespace["f"](1)


def test_a_region_at_the_margin_leaves_its_names_as_dots():
    source = "### BEGIN SOLUTION\nimport math\na, b = 1, 2\ndef f():\n    c = 3\n### END SOLUTION"
    namespace = {}
    exec(regions.stub(source), namespace)
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
    with pytest.raises(regions.RegionError, match=why) as raised:
        regions.stub(source, "01_x.ipynb, cell 3")
    assert "01_x.ipynb, cell 3" in str(raised.value)


@pytest.fixture
def project(tmp_path):
    """A small project with one solution notebook."""
    for folder in ("notebooks", "solutions", "exercises", "m6rec_lite"):
        (tmp_path / folder).mkdir()
    code, prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    answer = code(
        "# exercise 90.1\ndef f(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION",
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
    ((path, text),) = regions.generate(project)
    assert path == project / "exercises" / "90_small.ipynb"
    assert "return x" not in text
    assert "secret" not in text
    made = nbformat.reads(text, as_version=4)
    nbformat.validate(made)
    assert [cell.id for cell in made.cells] == ["title", "answer"]
    assert made.cells[1].execution_count is None
    assert made.cells[1].metadata == {"tags": ["kept"]}
    assert made.metadata["m6rec"] == {"generated_from": "solutions/90_small.ipynb"}
    assert [text for _, text in regions.generate(project)] == [text]


def test_the_solution_shows_the_source_without_marks(project):
    source = regions.solution_source("90.1", project)
    assert source == "# exercise 90.1\ndef f(x):\n    return x"
    with pytest.raises(ValueError, match=r"no cell that begins with '# exercise 90\.2'"):
        regions.solution_source("90.2", project)
    with pytest.raises(FileNotFoundError, match="repository"):
        regions.solution_source("91.1", project)
