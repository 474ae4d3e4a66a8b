'''Exercises that check themselves: how one is declared, and how an answer is judged.

What the learner does, in ``exercises/NN_….ipynb``::

    q = course.exercise("hit_rate")
    q.check(hit_rate)    # not attempted | incorrect, and why | correct, and what to notice
    q.hint()             # one more each time
    q.solution()         # the source, from solutions/

**How to write one.** An exercise has the name of the function or value that the learner writes.
It takes three files. First, ``solutions/NN_….ipynb``, the only source. The cell with the answer
begins with a comment that names the exercise, and marks what the learner is to write::

    # exercise hit_rate
    def hit_rate(ranks, k):
        """Share of users whose target ranks among the first k (ranks count from 0)."""
        ### BEGIN SOLUTION
        return float(np.mean(np.asarray(ranks) < k))
        ### END SOLUTION

``make exercises`` writes ``exercises/NN_….ipynb`` from it: a region inside a function becomes
``raise NotImplementedError(…)``; a region at the left margin becomes ``name = ...`` for every name
it assigned. Cells tagged ``solution-only`` are left out. Call
``course.exercise("hit_rate").check(hit_rate)`` in the next cell.

Second, ``m6rec_lite/course/exercises/hit_rate.py`` declares the check::

    EXERCISE = Exercise(
        id="hit_rate",
        title="Hit rate at k",
        cases=(                         # inputs, and the answer worked out on paper
            Case(args=([0, 3, 9], 2), expected=1 / 3),
            Case(args=([2, 2], 2), expected=0.0, note="rank 2 is the third"),
        ),
        known_wrong=(                   # at least three, each with its own message
            KnownWrong(
                lambda ranks, k: float(np.mean(np.asarray(ranks) <= k)),
                "Ranks count from 0, so the first k ranks are 0 to k - 1: `<`, not `<=`.",
            ),
            …
        ),
        hints=("What does rank 0 mean?", "Compare the array with k, then take the mean."),
        notice="A hit at rank 0 and at rank 9 count the same; NDCG tells them apart.",
    )

At the first case that an answer fails, it is compared with what each ``KnownWrong`` returns there;
of those that agree, the one that agrees on most cases names the likely mistake. ``cases`` may also
be a function without arguments that returns the tuple. Instead of ``cases``, give ``expected=0.25``
where the answer is a value (the answers of ``known_wrong`` are values, too), or ``check=``, a
function that raises ``Wrong("the likely mistake", inputs=…, output=…, expected=…)``.

Third, ``tests/exercises/hit_rate.py`` holds ``CORRECT``, right answers written in other ways, and
where needed ``WRONG``, pairs of a wrong answer and a part of its message (or "").
'''

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from m6rec_lite.course.exercises.comparison import difference, shorten

NOT_ATTEMPTED, INCORRECT, CORRECT = "not attempted", "incorrect", "correct"


class Wrong(Exception):
    """An answer is not right.

    Args:
        message: the likely mistake, by name; "" where it is unknown.
        inputs: what the function was called with.
        output: what it returned.
        expected: what it should have returned.
        difference: the first difference between the two.
    """

    def __init__(
        self,
        message: str = "",
        *,
        inputs: Any = "",
        output: Any = "",
        expected: Any = "",
        difference: str = "",
    ) -> None:
        super().__init__(message)
        self.message, self.difference = message, difference
        self.inputs, self.output, self.expected = (
            part if isinstance(part, str) else shorten(part) for part in (inputs, output, expected)
        )


@dataclass(frozen=True)
class KnownWrong:
    """A usual mistake: an answer that makes it, and the message for a learner who makes it."""

    answer: Any
    message: str


@dataclass(frozen=True)
class Case:
    """One input and the expected result.

    Attributes:
        args: positional arguments, copied before each call.
        expected: what the function should return.
        kwargs: keyword arguments.
        note: what is special about this input, shown with it.
    """

    args: tuple[Any, ...]
    expected: Any
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def describe(self, name: str, answer: Callable[..., Any]) -> str:
        """Write the input as a call of ``name``, with the parameter names of the answer."""
        try:
            named = inspect.signature(answer).bind(*self.args, **self.kwargs).arguments
            parts = [f"{parameter}={shorten(value)}" for parameter, value in named.items()]
        except (TypeError, ValueError):  # it takes other arguments, or has no signature
            parts = [*map(shorten, self.args)]
            parts += [f"{parameter}={shorten(value)}" for parameter, value in self.kwargs.items()]
        return f"{name}({', '.join(parts)})" + (f"  ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Outcome:
    """What a call gave: a value, or the error it raised."""

    value: Any
    error: Exception | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error}"
        return shorten(self.value) if self.value is not None else "None (is a `return` missing?)"

    def agrees(self, other: Outcome, tolerance: float) -> bool:
        """Return whether two calls gave the same value, or raised the same error."""
        if self.error is not None or other.error is not None:
            return repr(self.error) == repr(other.error)
        return not difference(self.value, other.value, tolerance)


def call(function: Callable[..., Any], case: Case) -> Outcome:
    """Call a function on a copy of the case's input; ``NotImplementedError`` passes through."""
    try:
        return Outcome(function(*copy.deepcopy(case.args), **copy.deepcopy(dict(case.kwargs))))
    except NotImplementedError:
        raise
    except Exception as error:
        return Outcome(None, error)


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes:
        outcome: ``not attempted``, ``incorrect`` or ``correct``.
        message: the likely mistake by name; or what to notice, when correct.
        inputs: the input that showed it.
        output: what the function returned.
        expected: what it should have returned.
        difference: the first difference between the two.
    """

    outcome: str
    message: str = ""
    inputs: str = ""
    output: str = ""
    expected: str = ""
    difference: str = ""

    def lines(self) -> list[tuple[str, str]]:
        """Return label and text of each line that is not empty."""
        labels = {NOT_ATTEMPTED: "to do", INCORRECT: "likely mistake", CORRECT: "notice"}
        lines = (
            ("input", self.inputs),
            ("output", self.output),
            ("expected", self.expected),
            ("first difference", self.difference),
            (labels[self.outcome], self.message),
        )
        return [(label, text) for label, text in lines if text]

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
    """One exercise and how its answer is judged; the module docstring says how to write one.

    Attributes:
        id: the name that the learner's cell defines; also the name of the module.
        title: a few words.
        notice: what to notice once it is right.
        hints: from gentle to plain.
        cases: inputs with the expected results, or a function that returns them.
        expected: the answer itself, where it is not a function.
        check: judges what cases cannot; raises ``Wrong``.
        known_wrong: usual mistakes, each with its message.
        tolerance: absolute and relative, for numbers.
        data: what the notebook of the exercise shows or uses, by name.
    """

    id: str
    title: str
    notice: str
    hints: tuple[str, ...]
    known_wrong: tuple[KnownWrong, ...] = ()
    cases: tuple[Case, ...] | Callable[[], tuple[Case, ...]] = ()
    expected: Any = None
    check: Callable[[Any], None] | None = None
    tolerance: float = 1e-6
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ways = [bool(self.cases), self.expected is not None, self.check is not None]
        if sum(ways) != 1:
            raise ValueError(f"exercise {self.id} needs exactly one of cases, expected and check")

    def grade(self, answer: Any) -> Verdict:
        """Judge an answer without showing anything."""
        to_do = Verdict(NOT_ATTEMPTED, f"write `{self.id}`, then check again; q.hint() helps")
        if answer is None or answer is ...:
            return to_do
        judge = self.check or (self._check_value if self.cases == () else self._check_cases)
        try:
            judge(answer)
        except NotImplementedError:
            return to_do
        except Wrong as wrong:
            return Verdict(
                INCORRECT,
                wrong.message,
                wrong.inputs,
                wrong.output,
                wrong.expected,
                wrong.difference,
            )
        except Exception as error:
            return Verdict(INCORRECT, output=f"{type(error).__name__}: {error}")
        return Verdict(CORRECT, self.notice)

    def all_cases(self) -> tuple[Case, ...]:
        """Return the cases, made now where a function makes them."""
        return self.cases() if callable(self.cases) else self.cases

    def _check_value(self, answer: Any) -> None:
        """Raise ``Wrong`` unless the answer is the expected value, without showing that value."""
        if difference(answer, self.expected, self.tolerance):
            messages = (
                known.message
                for known in self.known_wrong
                if not difference(answer, known.answer, self.tolerance)
            )
            kinds = {str: "text", float: "number", int: "number"}
            kind = kinds.get(type(self.expected), type(self.expected).__name__)
            raise Wrong(next(messages, ""), output=shorten(answer), expected=f"another {kind}")

    def _check_cases(self, answer: Any) -> None:
        """Raise ``Wrong`` at the first case with an unexpected outcome or a changed input."""
        cases = self.all_cases()
        if not callable(answer):
            raise Wrong(
                f"Pass the function itself, as in q.check({self.id}), without calling it.",
                output=shorten(answer),
                expected=f"a function of {len(cases[0].args)} argument(s)",
            )
        outcomes = [call(answer, case) for case in cases]
        for i, (case, outcome) in enumerate(zip(cases, outcomes, strict=True)):
            if not outcome.agrees(Outcome(case.expected), self.tolerance):
                raise Wrong(
                    self._likely_mistake(i, cases, outcomes),
                    inputs=case.describe(self.id, answer),
                    output=str(outcome),
                    expected=shorten(case.expected),
                    difference=""
                    if outcome.error
                    else difference(outcome.value, case.expected, self.tolerance),
                )
        for case in cases:
            arguments = copy.deepcopy(case.args)
            answer(*arguments, **copy.deepcopy(dict(case.kwargs)))
            if difference(arguments, case.args, 0.0):
                raise Wrong(
                    "The values are right, but the function changes its input, which its caller "
                    "may still need. Work on a copy.",
                    inputs=case.describe(self.id, answer),
                    output="an input that was overwritten",
                    expected="the input as it was",
                )

    def _likely_mistake(self, i: int, cases: tuple[Case, ...], outcomes: list[Outcome]) -> str:
        """Return the message of the known mistake that agrees on case i, and on most others."""
        agreeing = [
            [call(known.answer, case).agrees(outcome, self.tolerance)
             for case, outcome in zip(cases, outcomes, strict=True)]
            for known in self.known_wrong
        ]  # fmt: skip
        best = max(
            range(len(agreeing)), key=lambda n: (agreeing[n][i], sum(agreeing[n])), default=0
        )
        return self.known_wrong[best].message if agreeing and agreeing[best][i] else ""
