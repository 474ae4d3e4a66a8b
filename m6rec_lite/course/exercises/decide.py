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


def _decide(log_a: np.ndarray, log_b: np.ndarray, test: Arms | None = None) -> str:
    """The right answer."""
    if test is None:
        return _choose(*_paired(log_a, log_b), "test")
    return _choose(*_unpaired(*test), "A")


def _with(
    log: Callable[..., tuple[float, float]] = _paired,
    live: Callable[..., tuple[float, float]] = _unpaired,
    *,
    z: float = 1.96,
    unsure: str = "test",
    stays: str = "A",
) -> Callable[..., str]:
    """A rule with other intervals, or other answers."""

    def rule(log_a: np.ndarray, log_b: np.ndarray, test: Arms | None = None) -> str:
        if test is None:
            return _choose(*log(log_a, log_b), unsure, z)
        return _choose(*live(*test), stays, z)

    return rule


def _log_wins(log_a: np.ndarray, log_b: np.ndarray, test: Arms | None = None) -> str:
    answer = _choose(*_paired(log_a, log_b), "test")
    return _decide(log_a, log_b, test) if answer == "test" else answer


def _apart(log_a: np.ndarray, log_b: np.ndarray, test: Arms | None = None) -> str:
    """Compare the two intervals: neither may reach into the other."""
    a, b = (log_a, log_b) if test is None else test
    half = [1.96 * each.std(ddof=1) / np.sqrt(len(each)) for each in (a, b)]
    if b.mean() - half[1] > a.mean() + half[0]:
        return "B"
    if a.mean() - half[0] > b.mean() + half[1]:
        return "A"
    return "test" if test is None else "A"


def _around(mean: float, error: float) -> np.ndarray:
    """Four values with this mean and this standard error."""
    return mean + error * np.sqrt(3) * np.array([-1.0, -1.0, 1.0, 1.0])


_NOISE = np.array([0.0, 40.0, 5.0, 0.0])
_FLAT = np.full(4, 2.0)


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(3)
    users = rng.poisson(1.42, 3000).astype(float), rng.poisson(1.56, 2400).astype(float)
    shared = rng.gamma(0.5, 3.0, 400)  # the slates on which both policies have weight
    close = shared, shared + rng.normal(0.2, 0.5, 400)
    rows = (
        (_NOISE, _NOISE + _around(1.0, 0.47), None, "two policies on one log, both noisy"),
        (_NOISE, _NOISE + _around(1.0, 0.53), None, "a little more noise"),
        (_NOISE, _NOISE - _around(1.0, 0.47), None, "the other way round"),
        (_NOISE, _NOISE + _around(1.0, 2.0), None, "much more noise"),
        (_NOISE, _NOISE.copy(), None, "two policies that show the same"),
        (*close, None, "four hundred slates"),
        (_NOISE, _NOISE + _around(1.0, 0.1), (_around(2.0, 0.3), _around(1.0, 0.3)),
         "the log says B, the test says A is better"),
        (_NOISE, _NOISE + _around(1.0, 0.1), (_around(1.0, 0.4), _around(2.0, 0.4)),
         "the log says B, the test is not sure"),
        (_NOISE, _NOISE - _around(1.0, 0.1), (_around(1.0, 0.33), _around(2.0, 0.33)),
         "the log says A, the test says B"),
        (_NOISE, _NOISE, (_around(1.0, 0.36), _around(2.0, 0.36)), "just above 1.96 errors"),
        (_NOISE, _NOISE, (_FLAT, np.append(_around(3.0, 0.5), 3.0)), "arms of unequal size"),
        (_NOISE, _NOISE, (np.append(_around(3.0, 0.5), 3.0), _FLAT), "A with more users"),
        (close[0], close[0] - 0.01, users, "1.42 and 1.56 clicks in truth, 5,400 users"),
    )  # fmt: skip
    cases = []
    for log_a, log_b, test, note in rows:
        args = (log_a, log_b) if test is None else (log_a, log_b, test)
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
            lambda a, b, test=None: {"A": "B", "B": "A"}.get(_decide(a, b, test), "test"),
            "A and B are exchanged: a positive difference B - A speaks for B.",
        ),
    ),
    hints=(
        "With a test: mean of B less mean of A, and the error of a difference of two groups.",
        "Without: gains = log_b - log_a slate by slate; mean and standard error of the gains.",
        'More than 1.96 errors above 0: "B"; below: "A"; else "test", or "A" after a test.',
    ),
    notice="The last case is the lesson's: its log says nothing, and 5,400 users show it. "
    "A rule that was written before the data cannot be bent by them.",
)
