"""Every mutant of a solution is rejected by the exercise's check, or known to be equivalent."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from m6rec_lite.course.exercises.engine import CORRECT, INCORRECT
from m6rec_lite.course.exercises.question import load_exercise
from tests.mutants import EndlessLoop, Mutant, compile_mutant, mutants
from tests.solutions import ANSWERS, SOLUTIONS, solution

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


def _graded(source: str, name: str) -> Iterator[Mutant]:
    """The mutants of a solution that are graded."""
    yield from list(mutants(source, name))[:: EVERY.get(name, 1)]


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
    declared = load_exercise(name)
    names, sources = solution(name)
    source = "\n".join(sources)
    assert declared.grade(compile_mutant(source, name, names)).outcome == CORRECT
    equivalent = runpy.run_path(str(ANSWERS / f"{name}.py")).get("EQUIVALENT", {})
    labels = {mutant.label for mutant in mutants(source, name)}
    assert not set(equivalent) - labels, "no mutant has these lines"
    assert len(equivalent) <= MAX_EQUIVALENT * len(labels)
    passed = [
        mutant.label
        for mutant in _graded(source, name)
        if mutant.label not in equivalent
        and declared.grade(compile_mutant(mutant.source, name, names)).outcome != INCORRECT
    ]
    assert not passed, "add a case that rejects these, or list them as EQUIVALENT with a reason"


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
