"""Exercise ``decide``: model A, model B, or a test?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Arms = tuple[np.ndarray, np.ndarray]


def _choose(mean: float, error: float, otherwise: str, z: float = 1.96) -> str:
    if mean > z * error:
        return "B"
    return "A" if mean < -z * error else otherwise


def _paired(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    gains = b - a
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def _unpaired(a: np.ndarray, b: np.ndarray, ddof: int = 1) -> tuple[float, float]:
    error = np.sqrt(a.var(ddof=ddof) / len(a) + b.var(ddof=ddof) / len(b))
    return float(b.mean() - a.mean()), float(error)


def _with(
    log: Callable[..., tuple[float, float]] = _paired,
    live: Callable[..., tuple[float, float]] = _unpaired,
    *,
    z: float = 1.96,
    least: float = 30,
    unsure: str = "test",
    stays: str = "A",
) -> Callable[..., str]:
    """The rule; with other arguments, a wrong one."""

    def rule(
        log_a: np.ndarray, log_b: np.ndarray, effective: float, test: Arms | None = None
    ) -> str:
        if test is not None:
            return _choose(*live(*test), stays, z)
        return unsure if effective < least else _choose(*log(log_a, log_b), unsure, z)

    return rule


_decide = _with()


def _log_wins(
    log_a: np.ndarray, log_b: np.ndarray, effective: float, test: Arms | None = None
) -> str:
    answer = _decide(log_a, log_b, effective)
    return _decide(log_a, log_b, effective, test) if answer == "test" else answer


def _apart(log_a: np.ndarray, log_b: np.ndarray, effective: float, test: Arms | None = None) -> str:
    """Compare the two intervals: neither may reach into the other."""
    if test is None and effective < 30:
        return "test"
    a, b = (log_a, log_b) if test is None else test
    half = [1.96 * each.std(ddof=1) / np.sqrt(len(each)) for each in (a, b)]
    if b.mean() - half[1] > a.mean() + half[0]:
        return "B"
    if a.mean() - half[0] > b.mean() + half[1]:
        return "A"
    return "test" if test is None else "A"


def _exchanged(
    log_a: np.ndarray, log_b: np.ndarray, effective: float, test: Arms | None = None
) -> str:
    answer = _decide(log_a, log_b, effective, test)
    return {"A": "B", "B": "A"}.get(answer, answer)


def _around(mean: float, error: float, n: int = 4) -> np.ndarray:
    """``n`` values, an even number, with this mean and this standard error."""
    return mean + error * np.sqrt(n - 1) * np.tile([-1.0, 1.0], n // 2)


_NOISE = np.array([0.0, 40.0, 5.0, 0.0])
_FLAT = np.full(4, 2.0)


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(3)
    users = rng.poisson(1.42, 3000).astype(float), rng.poisson(1.56, 2400).astype(float)
    shared = rng.gamma(0.5, 3.0, 400)  # the slates on which both policies have weight
    close = shared, shared + rng.normal(0.2, 0.5, 400)
    better, worse = _NOISE + _around(1.0, 0.1), _NOISE - _around(1.0, 0.1)
    rows = (
        (_NOISE, _NOISE + _around(1.0, 0.47), 200.0, None, "two policies on one log, both noisy"),
        (_NOISE, _NOISE + _around(1.0, 0.53), 200.0, None, "a little more noise"),
        (_NOISE, _NOISE - _around(1.0, 0.47), 200.0, None, "the other way round"),
        (_NOISE, _NOISE + _around(1.0, 2.0), 200.0, None, "much more noise"),
        (_NOISE, _NOISE + _around(10.0, 4.9), 200.0, None, "a tenfold difference, and noise"),
        (np.ones(16), 1.0 + _around(1.0, 0.53, 16), 200.0, None, "sixteen slates"),
        (_NOISE, _NOISE.copy(), 9000.0, None, "two policies that show the same"),
        (*close, 350.0, None, "four hundred slates"),
        (_NOISE, _NOISE - _around(0.5, 0.1), 60.0, None, "a small loss, and sure"),
        (_NOISE, better, 30.0, None, "thirty effective slates"),
        (_NOISE, worse, 29.5, None, "just below thirty"),
        (_NOISE, worse, 10.7, None, "as in the lesson: few effective slates, and a small p"),
        (_NOISE, better, 200.0, (_around(2.0, 0.3), _around(1.0, 0.3)),
         "the log says B, the test says A is better"),
        (_NOISE, better, 200.0, (_around(1.0, 0.37), _around(2.0, 0.37)),
         "the log says B, the test is not sure"),
        (_NOISE, worse, 200.0, (_around(1.0, 0.33), _around(2.0, 0.33)),
         "the log says A, the test says B"),
        (_NOISE, _NOISE, 10.0, (_around(1.0, 0.36), _around(2.0, 0.36)), "just above 1.96 errors"),
        (_NOISE, _NOISE, 10.0, (_FLAT, np.append(_around(3.0, 0.5), 3.0)), "unequal arms"),
        (_NOISE, _NOISE, 10.0, (np.append(_around(3.0, 0.5), 3.0), _FLAT), "A with more users"),
        (close[0], close[0] - 0.01, 10.7, users, "1.42 and 1.56 clicks in truth, 5,400 users"),
    )  # fmt: skip
    cases = []
    for *log, test, note in rows:
        args = tuple(log) if test is None else (*log, test)
        cases.append(Case(args, _decide(*args), note=note))
    return tuple(cases)


EXERCISE = Exercise(
    id="decide",
    title="Model A, model B, or a test?",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _with(z=0.0),
            "The larger mean always wins. A difference within 1.96 standard errors is not told "
            "apart from none.",
        ),
        KnownWrong(
            _with(z=1.0),
            "One standard error is taken for proof: without any difference, every third decision "
            "would be an error. Take 1.96.",
        ),
        KnownWrong(
            _with(log=_unpaired),
            "The two estimates of the log are compared as independent. They come from the same "
            "slates: take the differences slate by slate.",
        ),
        KnownWrong(
            _apart,
            "Two intervals that overlap do not say that there is no difference. Compare the "
            "difference with *its* standard error.",
        ),
        KnownWrong(
            _log_wins,
            "The log decides although there is a test. Assigned users need no assumption about "
            "propensities and positions: the test counts.",
        ),
        KnownWrong(
            _with(stays="B"),
            "B replaces A without a difference that was found. A runs already: it stays.",
        ),
        KnownWrong(
            _with(unsure="A"),
            "The log cannot tell, and A stays for that reason. An A/B test can still find out: "
            '"test".',
        ),
        KnownWrong(
            _with(stays="test"),
            "The planned test is over. To prolong it until it finds something is peeking: A stays.",
        ),
        KnownWrong(
            _with(least=0),
            "The log decides with a handful of effective slates. A few large weights make a mean "
            "and a standard error that mean nothing: below 30 it takes a test.",
        ),
        KnownWrong(
            _exchanged,
            "A and B are exchanged: a positive difference B - A speaks for B.",
        ),
    ),
    hints=(
        "With a test: mean of B less mean of A, and the error of a difference of two groups.",
        'Without: "test" if effective < 30; else gains = log_b - log_a slate by slate, their mean '
        "and standard error.",
        'More than 1.96 errors above 0: "B"; below: "A"; else "test", or "A" after a test.',
    ),
    notice="The lesson's log says A, with p = .04, from ten effective slates; B is better, "
    "as users show. A rule that was written before the data cannot be bent by them.",
)
