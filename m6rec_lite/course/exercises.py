'''Exercises that check themselves, and how a chapter declares them.

What the learner does, in ``exercises/01_….ipynb``::

    q = course.exercise("01.2")
    q.check(hit_rate)    # not attempted | incorrect, and why | correct, and what to notice
    q.hint()             # one more each time
    q.solution()         # the source, from solutions/

**How to write one.** Two places. First, ``solutions/01_….ipynb``, the only source. The cell that
holds the answer begins with a comment that names the exercise, and marks what the learner is to
write::

    # exercise 01.2
    def hit_rate(ranks, k):
        """Share of users whose target ranks among the first k (ranks count from 0)."""
        ### BEGIN SOLUTION
        return float(np.mean(np.asarray(ranks) < k))
        ### END SOLUTION

``make exercises`` writes ``exercises/01_….ipynb`` from it: a region inside a function becomes
``raise NotImplementedError(…)``; a region at the left margin becomes ``name = ...`` for every name
it assigned. Cells tagged ``solution-only`` are left out. Call ``q.check(hit_rate)`` in the next
cell. An exercise that asks for a number works alike: ``answer = 0.25`` in a region.

Second, ``m6rec_lite/course/checks/ch01.py`` declares the check, in a tuple named ``EXERCISES``::

    from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

    EXERCISES = (
        Exercise(
            id="01.2",
            title="Hit rate at k",
            answer="hit_rate",              # the name that the solution cell defines
            cases=(                         # inputs, and the answer worked out on paper
                Case(args=([0, 3, 9], 2), wanted=1 / 3),
                Case(args=([2, 2], 2), wanted=0.0, note="rank 2 is the third place"),
            ),
            known_wrong=(                   # at least three, each with a message of its own
                KnownWrong(
                    lambda ranks, k: float(np.mean(np.asarray(ranks) <= k)),
                    "Ranks count from 0, so the first k places are 0 to k - 1: `<`, not `<=`.",
                ),
                KnownWrong(lambda ranks, k: int((np.asarray(ranks) < k).sum()), "That is …"),
                KnownWrong(lambda ranks, k: float(np.mean(np.asarray(ranks) < k)) / k, "…"),
            ),
            correct_alternatives=(          # at least one right answer written otherwise
                lambda ranks, k: sum(rank < k for rank in ranks) / len(ranks),
            ),
            hints=("What does rank 0 mean?", "Compare the array with k, then take the mean."),
            notice="A hit at place 1 and at place 10 count the same; NDCG tells them apart.",
        ),
    )

A wrong answer that gives on *every* case what a ``KnownWrong`` gives is told that message; so the
cases must tell the known mistakes apart. Numbers and arrays are compared with ``tolerance``.
Where inputs need data, give ``cases`` a function of no arguments that returns the tuple.

- An answer that is not a function: leave ``cases`` out and give ``wanted=0.25``; the
  ``known_wrong`` answers are values.
- What cases cannot say: leave both out and give ``check=``, a function of the answer that returns
  nothing when it is right and raises ``Wrong("the likely mistake", given=…, got=…, wanted=…)``
  when it is not; each ``known_wrong`` must then fail with its own message among the words.

The tests run over all of these: the shipped solution passes, the stub is "not attempted", known
mistakes fail with their own message, alternatives pass.
'''

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from m6rec_lite.course.bounds import strict
from m6rec_lite.course.grading import Case, KnownWrong, Outcome, Wrong, outcome, same, shorten

__all__ = ["Case", "Exercise", "KnownWrong", "Verdict", "Wrong", "exercise", "exercises"]

NOT_ATTEMPTED, INCORRECT, CORRECT = "not attempted", "incorrect", "correct"


@dataclass(frozen=True)
class Verdict:
    """What a check says of an answer.

    Attributes:
        outcome: ``not attempted``, ``incorrect`` or ``correct``.
        because: the likely mistake by name; or what to notice, when correct.
        given: the input that showed it, in words.
        got: what came out.
        wanted: what should have come out.
    """

    outcome: str
    because: str = ""
    given: str = ""
    got: str = ""
    wanted: str = ""

    def lines(self) -> list[tuple[str, str]]:
        """Label and text of each line that has something to say."""
        last = {
            NOT_ATTEMPTED: "to do",
            INCORRECT: "likely mistake",
            CORRECT: "notice",
        }[self.outcome]
        told = (
            ("given", self.given),
            ("came out", self.got),
            ("wanted", self.wanted),
            (last, self.because),
        )
        return [(label, text) for label, text in told if text]

    def __str__(self) -> str:
        return "\n".join(
            [self.outcome.upper(), *(f"  {label}: {text}" for label, text in self.lines())]
        )

    def _repr_html_(self) -> str:
        colour = {NOT_ATTEMPTED: "#767676", INCORRECT: "#D55E00", CORRECT: "#0072B2"}[self.outcome]
        rows = "".join(
            f"<div><b>{label}:</b> {escape(text).replace(chr(10), '<br>')}</div>"
            for label, text in self.lines()
        )
        return (
            f'<div style="border-left:4px solid {colour};padding:2px 10px">'
            f"<b>{self.outcome.capitalize()}</b>{rows}</div>"
        )


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise and how its answer is judged; the module says how to write one.

    Attributes:
        id: chapter and number, as ``01.2``.
        title: a few words.
        answer: the name that the solution cell defines.
        notice: what to notice once it is right.
        hints: from gentle to plain.
        cases: inputs with what is wanted, or a function that returns them.
        wanted: the answer itself, where it is not a function.
        check: judges what cases cannot; raises ``Wrong``.
        known_wrong: usual mistakes, each with its message.
        correct_alternatives: right answers written otherwise.
        tolerance: absolute and relative, for numbers.
    """

    id: str
    title: str
    answer: str
    notice: str
    hints: tuple[str, ...]
    known_wrong: tuple[KnownWrong, ...]
    correct_alternatives: tuple[Any, ...]
    cases: tuple[Case, ...] | Callable[[], tuple[Case, ...]] = ()
    wanted: Any = None
    check: Callable[[Any], None] | None = None
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        ways = [bool(self.cases), self.wanted is not None, self.check is not None]
        if sum(ways) != 1:
            raise ValueError(f"exercise {self.id} needs exactly one of cases, wanted and check")

    def grade(self, answer: Any) -> Verdict:
        """Judge an answer without showing anything."""
        todo = Verdict(NOT_ATTEMPTED, f"write `{self.answer}`, then check again; q.hint() helps")
        if answer is None or answer is ...:
            return todo
        try:
            if self.check is not None:
                self.check(answer)
            else:
                self._compare(answer)
        except NotImplementedError:
            return todo
        except Wrong as wrong:
            return Verdict(INCORRECT, wrong.because, wrong.given, wrong.got, wrong.wanted)
        except Exception as error:
            return Verdict(INCORRECT, got=f"{type(error).__name__}: {error}")
        return Verdict(CORRECT, self.notice)

    def _compare(self, answer: Any) -> None:
        """Raise ``Wrong`` at the first case whose outcome is not what was wanted."""
        if self.wanted is not None:
            if not same(answer, self.wanted, self.tolerance):
                told = self._mistake(lambda known: same(answer, known, self.tolerance))
                raise Wrong(told, got=shorten(answer), wanted=self._hidden())
            return
        cases = self.cases() if callable(self.cases) else self.cases
        if not callable(answer):
            raise Wrong(
                f"Pass the function itself, as in q.check({self.answer}), without calling it.",
                got=shorten(answer),
                wanted=f"a function of {len(cases[0].args)} argument(s)",
            )
        got = [outcome(answer, case) for case in cases]
        self._compare_cases(got, cases)
        for case in cases:
            given = copy.deepcopy(case)
            answer(*given.args, **given.kwargs)
            if not same(list(given.args), list(case.args), 0.0):
                raise Wrong(
                    "The values are right, but the function changes its input: whoever called it "
                    "still needs that. Work on a copy.",
                    given=case.words(),
                    got="an input that was overwritten",
                    wanted="the input as it was",
                )

    def _compare_cases(self, got: list[Outcome], cases: tuple[Case, ...]) -> None:
        """Raise ``Wrong`` at the first outcome that is not what was wanted."""
        for case, found in zip(cases, got, strict=True):
            if not same(found, Outcome(case.wanted), self.tolerance):
                told = self._mistake(
                    lambda known: all(
                        same(mine, outcome(known, case), self.tolerance)
                        for mine, case in zip(got, cases, strict=True)
                    )
                )
                raise Wrong(told, given=case.words(), got=str(found), wanted=shorten(case.wanted))

    def _mistake(self, behaves_like: Callable[[Any], bool]) -> str:
        """The message of the first known mistake that behaves as the answer does, or none."""
        return next((known.because for known in self.known_wrong if behaves_like(known.answer)), "")

    def _hidden(self) -> str:
        """A value's kind, so that a wrong answer is not told the right one."""
        kinds = {str: "text", float: "number", int: "number"}
        return f"another {kinds.get(type(self.wanted), type(self.wanted).__name__)}"


class Question:
    """What the learner holds: ``check``, ``hint`` and ``solution`` of one exercise."""

    def __init__(self, declared: Exercise) -> None:
        self.exercise = declared
        self._hints_given = 0

    def __repr__(self) -> str:
        return f"Exercise {self.exercise.id}: {self.exercise.title}"

    def check(self, answer: Any) -> None:
        """Judge the answer and show the verdict.

        Raises:
            AssertionError: if it is not correct while ``M6REC_STRICT`` is set (in the tests).
        """
        verdict = self.exercise.grade(answer)
        _display(str(verdict), verdict._repr_html_())
        if strict() and verdict.outcome != CORRECT:
            raise AssertionError(f"exercise {self.exercise.id}: {verdict}")

    def hint(self) -> None:
        """Show the next hint; the last one again when there are no more."""
        hints = self.exercise.hints
        place = min(self._hints_given, len(hints) - 1)
        self._hints_given += 1
        text = f"Hint {place + 1} of {len(hints)}: {hints[place]}"
        _display(text, f"<div>{escape(text)}</div>")

    def solution(self) -> None:
        """Show the source of the solution."""
        from m6rec_lite.course.regions import solution_source

        source = solution_source(self.exercise.id)
        _display(source, f"<pre>{escape(source)}</pre>")


def exercise(number: str) -> Question:
    """The exercise with that number, such as ``"01.2"``.

    Raises:
        ValueError: if there is none, naming those of the chapter.
    """
    chapter = str(number).partition(".")[0]
    declared = exercises(chapter)
    if number not in declared:
        raise ValueError(
            f"no exercise {number!r}; chapter {chapter} has {', '.join(declared) or 'none'}. "
            'Numbers look like "01.2".'
        )
    return Question(declared[number])


def exercises(chapter: str) -> dict[str, Exercise]:
    """The exercises of a chapter (``"01"``) by number, in order; empty where it has none."""
    name = f"m6rec_lite.course.checks.ch{chapter}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return {}
        raise
    return {declared.id: declared for declared in module.EXERCISES}


def _display(text: str, html: str) -> None:
    """Show in a notebook; print where there is none."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(text)
    else:
        display({"text/plain": text, "text/html": html}, raw=True)
