"""Exercise ``lift_scores``: likelihood normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Logs = Sequence[Sequence[float]]


def _fair(person: Logs, nobody: Logs) -> np.ndarray:
    """The right answer: means of the differences, [EOS] left out."""
    pairs = zip(person, nobody, strict=True)
    return np.array([np.mean(np.subtract(a[:-1], b[:-1])) for a, b in pairs])


def _each(person: Logs, nobody: Logs, score) -> np.ndarray:
    pairs = zip(person, nobody, strict=True)
    return np.array([score(np.array(a), np.array(b)) for a, b in pairs])


_HER = [[0.25, 0.5], [0.5, 0.25, 0.125], [0.125, 0.5, 0.5, 0.25]]
_NOBODY = [[0.5, 0.5], [0.5, 0.25, 0.5], [1 / 64, 0.5, 0.25, 0.5]]


def _logs(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    return [np.log(row).tolist() for row in rows]


def _fair_cases() -> tuple[Case, ...]:
    first = (_logs(_HER), _logs(_NOBODY))
    one = ([[-2.0, -4.0, -1.0]], [[-1.0, -9.0, -3.0]])
    return (
        Case(first, _fair(*first), note="the chapter's three titles, and their [EOS]"),
        Case(one, [2.0], note="one candidate of two tokens"),
        Case(([[-3.0, -0.5]], [[-3.0, -2.0]]), [0.0], note="likely alike, but for [EOS]"),
    )


EXERCISE = Exercise(
    id="lift_scores",
    title="Likelihood normalisation",
    cases=_fair_cases,
    known_wrong=(
        KnownWrong(
            lambda person, nobody: _each(person, nobody, lambda a, b: (a - b)[:-1].sum()),
            "That is the sum over tokens: long titles have more of them, for better and for "
            "worse. Take the mean.",
        ),
        KnownWrong(
            lambda person, nobody: _each(person, nobody, lambda a, b: a[:-1].mean()),
            "Nobody's likelihood is not taken out: what is likely for anybody wins.",
        ),
        KnownWrong(
            lambda person, nobody: _each(person, nobody, lambda a, b: (a - b).mean()),
            "[EOS] is counted. How a title ends says little about who likes it: leave the last "
            "token out.",
        ),
        KnownWrong(
            lambda person, nobody: _each(person, nobody, lambda a, b: (a - b)[:-1].sum() / len(a)),
            "[EOS] is left out of the sum and counted in the number of tokens.",
        ),
        KnownWrong(
            lambda person, nobody: _each(person, nobody, lambda a, b: (b - a)[:-1].mean()),
            "The sign is turned round: what this person makes likelier must score higher.",
        ),
        KnownWrong(
            lambda person, nobody: _each(
                person, nobody, lambda a, b: (np.exp(a) - np.exp(b))[:-1].mean()
            ),
            "Probabilities are subtracted. What is given are logarithms: their difference is the "
            "logarithm of a ratio.",
        ),
    ),
    hints=(
        "Three steps a candidate: drop the last token, subtract, average.",
        "np.array(ours[:-1]) - np.array(theirs[:-1]) is the gain of each token.",
        "Candidates differ in length, so go through them one by one.",
    ),
    notice="Whether to take out all of nobody's part, half of it or none is a setting: the chapter "
    "chooses it on people who do not judge.",
)
