"""Exercises of chapter 09: likelihoods made fair, chances mended, tasks weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from m6rec_lite.course.checks.answers_that_exist import MASKED_LOGITS, TRIE
from m6rec_lite.course.checks.batch_rivals import LOG_Q
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

Logs = Sequence[Sequence[float]]

# 09.1 Likelihood normalisation


def _fair(person: Logs, nobody: Logs) -> np.ndarray:
    """The right answer: means of the differences, [EOS] left out."""
    pairs = zip(person, nobody, strict=True)
    return np.array([np.mean(np.subtract(a[:-1], b[:-1])) for a, b in pairs])


def _fair_by_loops(person: Logs, nobody: Logs) -> list[float]:
    scores = []
    for ours, theirs in zip(person, nobody, strict=True):
        n = len(ours) - 1
        scores.append((sum(ours[:n]) - sum(theirs[:n])) / n)
    return scores


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


FAIR = Exercise(
    id="09.1",
    title="Likelihood normalisation",
    answer="lift_scores",
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
    correct_alternatives=(_fair, _fair_by_loops),
    hints=(
        "Three steps a candidate: drop the last token, subtract, average.",
        "np.array(ours[:-1]) - np.array(theirs[:-1]) is the gain of each token.",
        "Candidates differ in length, so go through them one by one.",
    ),
    notice="Whether to take out all of nobody's part, half of it or none is a setting: the chapter "
    "chooses it on people who do not judge.",
)


# 09.2 Mend chances learnt from thinned rows


def _mended(p: np.ndarray, share: float) -> np.ndarray:
    """The right answer: odds times the share of the others that was kept."""
    return p / (p + (1 - p) / share)


def _mended_by_odds(p: np.ndarray, share: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        odds = p / (1 - p) * share
    return np.where(np.isinf(odds), 1.0, odds / (1 + np.where(np.isinf(odds), 0.0, odds)))


_P = np.array([0.0, 1 / 3, 0.5, 0.9, 1.0])

MEND = Exercise(
    id="09.2",
    title="Mend chances learnt from thinned rows",
    answer="mend",
    cases=(
        Case((np.array([1 / 3]), 1 / 12), [0.04], note="the chapter's"),
        Case((_P, 0.25), _mended(_P, 0.25), note="certainties stay certain"),
        Case((_P, 1.0), _P, note="nothing was left out"),
    ),
    known_wrong=(
        KnownWrong(
            lambda p, share: p * share,
            "The chance is multiplied by the share. Odds are, chances are not: look at p = 1.",
        ),
        KnownWrong(
            lambda p, share: p / (p + (1 - p) * share),
            "The wrong way round: rows without the label were left out, so chances are too *high*, "
            "and must fall.",
        ),
        KnownWrong(
            lambda p, share: p / (p + 1 / share),
            "1 - p is missing: the odds compare clicks with what is *no* click.",
        ),
        KnownWrong(
            lambda p, share: p / (1 - p + 1e-12) * share,
            "Those are odds. A chance of them is odds / (1 + odds).",
        ),
        KnownWrong(
            lambda p, share: 1 - (1 - p) / share,
            "The chance of no click is divided by the share: it can grow beyond 1.",
        ),
    ),
    correct_alternatives=(_mended, _mended_by_odds),
    hints=(
        "Write the odds, p / (1 - p), in the thinned rows. What are they in all rows?",
        "With a share of the others kept, there are 1 / share as many others as were seen.",
        "p / (p + (1 - p) / share).",
    ),
    notice="The order of the rows does not change, so AUC is the same; log loss and every decision "
    "that multiplies a chance with a price are not.",
)


# 09.6 The shares of a joint loss

Given = Mapping[str, float]


def _shares(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    """The right answer: weighted means in each part, and the parts added."""
    found = {"adapt": beta}
    for part, among in ((alpha, tasks), (1.0, finetune)):
        for name, weight in among.items():
            found[name] = found.get(name, 0.0) + part * weight / sum(among.values())
    return found


def _shares_by_names(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    several, one = sum(tasks.values()) or 1.0, sum(finetune.values()) or 1.0
    names = dict.fromkeys([*tasks, *finetune])
    found = {
        name: alpha * tasks.get(name, 0.0) / several + finetune.get(name, 0.0) / one
        for name in names
    }
    return found | {"adapt": beta}


def _unnormalised(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    found = {"adapt": beta} | {name: alpha * weight for name, weight in tasks.items()}
    for name, weight in finetune.items():
        found[name] = found.get(name, 0.0) + weight
    return found


def _overwritten(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    first = _shares(alpha, beta, tasks, {})
    return first | {n: w / sum(finetune.values()) for n, w in finetune.items()}


def _alpha_on_both(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    found = _shares(alpha, beta, tasks, {})
    for name, weight in finetune.items():
        found[name] = found.get(name, 0.0) + alpha * weight / sum(finetune.values())
    return found


def _all_to_one(alpha: float, beta: float, tasks: Given, finetune: Given) -> dict[str, float]:
    found = _shares(alpha, beta, tasks, finetune)
    return {name: share / sum(found.values()) for name, share in found.items()}


def _share_cases() -> tuple[Case, ...]:
    rows = (
        ((0.5, 0.2, {"query": 1.0, "design": 3.0}, {"explanation": 1.0}), "the chapter's"),
        ((2.0, 0.5, {"query": 1.0, "design": 1.0}, {"query": 3.0, "scoring": 1.0}), "one in both"),
        ((1.0, 0.1, {"query": 4.0}, {}), "nothing is wanted most"),
    )
    return tuple(Case(given, _shares(*given), note=note) for given, note in rows)


SHARES = Exercise(
    id="09.6",
    title="The shares of a joint loss",
    answer="shares",
    cases=_share_cases,
    known_wrong=(
        KnownWrong(
            _unnormalised,
            "Each part is a weighted *mean*: divide by the sum of its weights, or a further task "
            "makes all of them louder.",
        ),
        KnownWrong(
            _overwritten,
            "A task in both parts counts twice: add its two shares; the second must not replace "
            "the first.",
        ),
        KnownWrong(
            _alpha_on_both,
            "alpha multiplies what is wanted most, too; that part counts 1.",
        ),
        KnownWrong(
            _all_to_one,
            "The shares are made to add up to 1. Then a larger beta would make the other parts "
            "smaller, and alpha and beta would mean something else in each run.",
        ),
        KnownWrong(
            lambda alpha, beta, tasks, finetune: {
                name: share
                for name, share in _shares(alpha, beta, tasks, finetune).items()
                if name != "adapt"
            },
            "`adapt`, the pretraining objectives, is missing: its share is beta.",
        ),
    ),
    correct_alternatives=(_shares, _shares_by_names),
    hints=(
        "Begin with {'adapt': beta}; then go through the two parts, one with alpha, one with 1.",
        "Within a part a task has weight / sum of the part's weights.",
        "found[name] = found.get(name, 0) + … adds where a task is in both.",
    ),
    notice="The package does the same (`Weights.shares`), and refuses weights that are all 0: a "
    "run that learns nothing should not look like one that does.",
)


EXERCISES = (FAIR, MEND, LOG_Q, MASKED_LOGITS, TRIE, SHARES)
