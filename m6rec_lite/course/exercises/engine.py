'''Exercises with automatic checks: how to declare one, and how an answer is graded.

Use in ``exercises/NN_….ipynb``::

    q = course.exercise("hit_rate")
    q.check(hit_rate)    # not attempted | incorrect, with the reason | correct, with a remark
    q.hint()             # the next hint
    q.solution()         # the source, from solutions/

**How to write one.** An exercise has the name of the function or value that the learner writes.
It needs three files. First, ``solutions/NN_….ipynb``, the only source. The cell with the answer
begins with a comment that names the exercise, and delimits what the learner writes::

    # exercise hit_rate
    def hit_rate(ranks, k):
        """Share of users whose target ranks among the first k (ranks count from 0)."""
        ### BEGIN SOLUTION
        return float(np.mean(np.asarray(ranks) < k))
        ### END SOLUTION

``make exercises`` writes ``exercises/NN_….ipynb`` from it: an indented region becomes
``raise NotImplementedError(…)``; a region at the left margin becomes ``name = ...`` for every name
it assigns. Cells tagged ``solution-only`` are omitted. Call
``course.exercise("hit_rate").check(hit_rate)`` in the next cell.

Second, ``m6rec_lite/course/exercises/hit_rate.py`` declares the check::

    EXERCISE = Exercise(
        id="hit_rate",
        title="Hit rate at k",
        cases=(                         # inputs, and results calculated by hand
            Case(args=([0, 3, 9], 2), expected=1 / 3),
            Case(args=([2, 2], 2), expected=0.0, note="rank 2 is the third"),
        ),
        known_wrong=(                   # at least three, with different messages
            KnownWrong(
                lambda ranks, k: float(np.mean(np.asarray(ranks) <= k)),
                "Ranks count from 0, so the first k ranks are 0 to k - 1: `<`, not `<=`.",
            ),
            …
        ),
        hints=("What does rank 0 mean?", "Compare the array with k, then take the mean."),
        notice="A hit at rank 0 and at rank 9 count the same; NDCG distinguishes them.",
    )

At the first case that an answer fails, its result is compared with that of each ``KnownWrong``; of
those that agree, the one that agrees on most cases names the likely mistake. ``cases`` may also be
a function without arguments that returns the tuple. Instead of ``cases``, pass ``expected=0.25`` if
the answer is a value (the answers of ``known_wrong`` are values, too), or ``check=``, a function
that raises ``Wrong("the likely mistake", inputs=…, output=…, expected=…)``.

Third, ``tests/exercises/hit_rate.py`` contains ``CORRECT``, other correct answers, and optionally
``WRONG``, pairs of a wrong answer and a part of its message (or ""), and ``EQUIVALENT``, the
mutants of the solution that may pass: the line that differs, and the reason.
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

#: Maximum length of a call in one line; longer ones have one argument per line.
LINE_LENGTH = 100


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes:
        outcome: ``not attempted``, ``incorrect`` or ``correct``.
        message: the likely mistake; or what to notice, if correct.
        inputs: the failing input.
        output: what the function returned.
        expected: the expected result.
        difference: the first difference between output and expected result.
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
            f'<div style="white-space:pre-wrap"><b>{label}:</b> {escape(text)}</div>'
            for label, text in self.lines()
        )
        return (
            f'<div style="border-left:4px solid {colour};padding:2px 10px">'
            f"<b>{self.outcome.capitalize()}</b>{rows}</div>"
        )


class Wrong(Exception):
    """An answer is wrong; the arguments are those of ``Verdict``, as text or as values."""

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
        inputs, output, expected = (
            part if isinstance(part, str) else shorten(part) for part in (inputs, output, expected)
        )
        self.verdict = Verdict(INCORRECT, message, inputs, output, expected, difference)


@dataclass(frozen=True)
class KnownWrong:
    """A common mistake: a wrong answer, and the message that explains it."""

    answer: Any
    message: str


@dataclass(frozen=True)
class Case:
    """One input and the expected result.

    Attributes:
        args: positional arguments, copied before each call.
        expected: expected result.
        kwargs: keyword arguments.
        note: remark that is shown with the input.
    """

    args: tuple[Any, ...]
    expected: Any
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def describe(self, name: str, answer: Callable[..., Any]) -> str:
        """Format the input as a call of ``name``, with the parameter names of the answer."""
        try:
            arguments = inspect.signature(answer).bind(*self.args, **self.kwargs).arguments
            parts = [f"{parameter}={shorten(value)}" for parameter, value in arguments.items()]
        except (TypeError, ValueError):  # different parameters, or no signature
            parts = [*map(shorten, self.args)]
            parts += [f"{parameter}={shorten(value)}" for parameter, value in self.kwargs.items()]
        call = f"{name}({', '.join(parts)})"
        if len(call) > LINE_LENGTH:
            call = "\n".join([f"{name}(", *(f"    {part}," for part in parts), ")"])
        return call + (f"  ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Outcome:
    """Result of a call: a value, or the exception that it raised."""

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


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise with its check; the module docstring says how to write one.

    Attributes:
        id: the name that the learner's cell defines; also the name of the module.
        title: short title.
        notice: remark for a correct answer.
        hints: hints, each more explicit than the one before.
        cases: inputs with the expected results, or a function that returns them.
        expected: expected value, if the answer is not a function.
        check: function that raises ``Wrong``, instead of cases.
        known_wrong: common mistakes with their messages.
        tolerance: absolute and relative tolerance of numbers.
        data: data that the exercise notebook shows or uses, by name.
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
        checks = [bool(self.cases), self.expected is not None, self.check is not None]
        if sum(checks) != 1:
            raise ValueError(f"exercise {self.id} needs exactly one of cases, expected and check")

    def grade(self, answer: Any) -> Verdict:
        """Return the verdict on an answer."""
        advice = f"write `{self.id}`, then check again; q.hint() helps"
        not_attempted = Verdict(NOT_ATTEMPTED, advice)
        if answer is None or answer is ...:
            return not_attempted
        check = self.check or (self._check_value if self.cases == () else self._check_cases)
        try:
            check(answer)
        except NotImplementedError:
            return not_attempted
        except Wrong as wrong:
            return wrong.verdict
        except Exception as error:
            return Verdict(INCORRECT, output=f"{type(error).__name__}: {error}")
        return Verdict(CORRECT, self.notice)

    def all_cases(self) -> tuple[Case, ...]:
        """Return the cases, calling the function that creates them if there is one."""
        return self.cases() if callable(self.cases) else self.cases

    def _check_value(self, answer: Any) -> None:
        """Raise ``Wrong`` unless the answer is the expected value, without showing that value."""
        if isinstance(answer, str):
            answer = answer.strip().lower()
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
        """Raise ``Wrong`` at the first case with a wrong result or a changed input."""
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
        """Return the message of the known mistake that agrees on case i and on most others."""
        agreeing = [
            [call(known.answer, case).agrees(outcome, self.tolerance)
             for case, outcome in zip(cases, outcomes, strict=True)]
            for known in self.known_wrong
        ]  # fmt: skip
        best = max(
            range(len(agreeing)), key=lambda n: (agreeing[n][i], sum(agreeing[n])), default=0
        )
        return self.known_wrong[best].message if agreeing and agreeing[best][i] else ""
