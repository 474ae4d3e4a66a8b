"""Every mutant of a solution is rejected by the exercise's check, or known to be equivalent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import m6rec_lite.course.__main__ as cli
from m6rec_lite.course.build import mutation
from m6rec_lite.course.build.mutants import EndlessLoop, compile_mutant, mutants
from m6rec_lite.course.build.mutation import grade_mutants
from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong
from m6rec_lite.course.exercises.question import load_exercise
from tests.solutions import ROOT, SOLUTIONS, store_predictions

#: Of the mutants of these exercises every n-th is graded, because one takes more than a second.
EVERY = {"train_in_bf16": 3}

#: Largest share of an exercise's mutants that may be listed as equivalent.
MAX_EQUIVALENT = 0.3

FUNCTIONS = [name for name in SOLUTIONS if load_exercise(name).expected is None]


@pytest.fixture(autouse=True)
def smoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("M6REC_SCALE", "smoke")
    monkeypatch.setenv("M6REC_RUN", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    store_predictions()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xdist_group(f"mutants-{SOLUTIONS[name].stem[:2]}"))
        for name in FUNCTIONS
    ],
)
def test_only_equivalent_mutants_of_the_solution_pass(name: str) -> None:
    report = grade_mutants(name, ROOT, every=EVERY.get(name, 1))
    assert not report.unknown, "no mutant has these lines"
    assert len(report.equivalent) <= MAX_EQUIVALENT * report.n_mutants * EVERY.get(name, 1)
    assert not report.survivors, (
        f"add a case that rejects these, or list them as EQUIVALENT with a reason:\n{report}"
    )


def test_mutants_have_one_change_each() -> None:
    source = "def f(a, b):\n    '''Text.'''\n    c = a - 1\n    return c if c < b else 0.5"
    assert {mutant.label for mutant in mutants(source, "f")} == {
        "without: c = a - 1", "c = a + 1", "c = 1 - a", "c = a", "c = 1", "c = a - 2",
        "c = a - 0", "c = b - 1", "return c if c <= b else 0.5", "return c if c > b else 0.5",
        "return c if True else 0.5", "return c if False else 0.5", "return c if c < a else 0.5",
        "return c if c < b else 0.75", "return c if c < b else -0.5",
    }  # fmt: skip
    assert [*mutants(source, "f")] == [*mutants(source, "f")]


def test_the_loops_of_a_mutant_end() -> None:
    source = "def f(n):\n    i = 0\n    while i != n:\n        i += 1\n    return i"
    assert compile_mutant(source, "f", {}, turns=3)(3) == 3
    with pytest.raises(EndlessLoop, match="more than 3 turns"):
        compile_mutant(source, "f", {}, turns=3)(-1)
    growing = "def f(row):\n    for x in row:\n        row.append(x)"
    with pytest.raises(EndlessLoop):
        compile_mutant(growing, "f", {})([1])


@pytest.mark.parametrize(
    ("kind", "line", "mutant"),
    [
        ("operator", "a + b", "a - b"),
        ("operator", "a // b", "a / b"),
        ("operator", "a @ b", "a * b"),
        ("operator", "a is None", "a is not None"),
        ("operator", "not a", "a"),
        ("constant", "a * 3", "a * 4"),
        ("constant", "a * 0.5", "a * 0.75"),
        ("index", "a[1]", "a[0]"),
        ("index", "a[-1]", "a[-2]"),
        ("index", "a[-1]", "a[1]"),
        ("index", "a[1:]", "a[:]"),
        ("index", "a[:b]", "a[:]"),
        ("index", "a[b]", "a"),
        ("axis", "a.sum(axis=0)", "a.sum(axis=1)"),
        ("axis", "a.sum(axis=0)", "a.sum()"),
        ("axis", "a.sum(0)", "a.sum(1)"),
        ("axis", "a[:, None]", "a[None, :]"),
        ("axis", "a.T", "a"),
        ("order of arguments", "f(a, b)", "f(b, a)"),
        ("order of arguments", "a.g(b, 2)", "a.g(2, b)"),
        ("order of arguments", "a - b", "b - a"),
    ],
)
def test_every_kind_of_mutant_is_generated(kind: str, line: str, mutant: str) -> None:
    source = f"def f(a, b):\n    # a comment\n    return {line}"
    found = {made.label: made.line for made in mutants(source, "f")}
    assert found.get(f"return {mutant}") == 3, kind


def test_the_command_lists_what_survives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weak = Exercise(
        id="twice",
        title="Twice",
        cases=(Case(args=(2,), expected=4),),
        known_wrong=(KnownWrong(lambda n: n, "That is once, not twice."),),
        hints=("Add.",),
        notice="Good.",
    )
    declared = tmp_path / mutation.ANSWERS / "twice.py"
    declared.parent.mkdir(parents=True)
    equivalent = {
        "return n * 2 - 0": "zero",
        "return n * 2": "zero",
        "return n * n": "no mutant",
    }
    declared.write_text(f"EQUIVALENT = {equivalent!r}")
    source = "def twice(n):\n    # text\n    return n * 2 + 0"
    monkeypatch.setattr(cli, "project_root", lambda: tmp_path)
    monkeypatch.setattr(mutation, "exercise_names", lambda: ["twice"])
    monkeypatch.setattr(mutation, "load_exercise", lambda _: weak)
    monkeypatch.setattr(mutation, "solution", lambda *_: ({}, [source]))
    assert cli.main(["mutate", "twice"]) == 1
    shown = capsys.readouterr().out
    assert "survives, line 3: return n + 2 + 0" in shown
    assert "equivalent: return n * 2 - 0 (zero)" in shown
    assert "no such mutant: return n * n" in shown


def test_a_value_and_an_unknown_exercise_have_no_mutants(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["mutate", "no_such_exercise"]) == 2
    assert "there is no exercise no_such_exercise; there are " in capsys.readouterr().err
    monkeypatch.setattr(mutation, "exercise_names", lambda: ["value"])
    monkeypatch.setattr(mutation, "load_exercise", lambda _: SimpleNamespace(expected=0.5))
    assert cli.main(["mutate", "value"]) == 2
    assert "only functions have mutants" in capsys.readouterr().err
