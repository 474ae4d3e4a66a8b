"""Exercise ``perplexity``: a chain rule with "/Z"."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _quiet(function: Callable[[np.ndarray], float]) -> Callable[[list[float]], float]:
    """The function of an array, without numpy's warnings about zeros."""

    def perplexity(probs: list[float]) -> float:
        with np.errstate(all="ignore"):
            return float(function(np.array(probs)))

    return perplexity


EXERCISE = Exercise(
    id="perplexity",
    title='A chain rule with "/Z"',
    cases=(
        Case(args=([0.5, 0.25, 0.125],), expected=4.0),
        Case(args=([1 / 6] * 5,), expected=6.0, note="a fair die"),
        Case(args=([0.9, 0.1],), expected=1 / 0.3, note="the root of 0.09 is 0.3"),
        Case(args=([0.5, 0.0],), expected=math.inf, note="one token is impossible"),
        Case(args=([1e-5] * 400,), expected=1e5, note="400 rare tokens"),
    ),
    known_wrong=(
        KnownWrong(
            _quiet(lambda p: np.exp(-(np.log(p) - np.log(p.sum())).mean())),
            "Each probability is divided by Z, their sum. They are not shares of one another: each "
            "comes from a distribution that sums to one already, so there is no Z.",
        ),
        KnownWrong(
            _quiet(lambda p: np.exp(-(np.log(p).sum() - np.log(p.sum())) / len(p))),
            "The product of the chain rule is divided by Z, the sum of its factors. Each factor "
            "comes from a distribution that sums to one already, so there is no Z.",
        ),
        KnownWrong(
            _quiet(lambda p: np.exp(-np.log(p).sum())),
            "That is the inverse probability of the whole text: the mean over tokens, 1/N, is "
            "missing, so long texts look bad.",
        ),
        KnownWrong(
            _quiet(lambda p: 2 ** -np.log(p).mean()),
            "Natural logarithms raised to the power of 2. Use one base for both: exp with ln, or 2 "
            "with log2.",
        ),
        KnownWrong(
            _quiet(lambda p: (1 / p).mean()),
            "That is the arithmetic mean of 1/p. Perplexity is the geometric mean: average the "
            "logarithms.",
        ),
        KnownWrong(
            _quiet(lambda p: 1 / p.mean()),
            "That is one over the mean probability; a zero hardly shows in it. Average the "
            "logarithms.",
        ),
        KnownWrong(
            _quiet(lambda p: -np.log(p).mean()),
            "That is the cross-entropy in nats. Perplexity is its exponential.",
        ),
        KnownWrong(
            _quiet(lambda p: np.prod(p) ** (-1 / len(p))),
            "The product of many probabilities is too small for a float and becomes 0, so the text "
            "seems impossible. Add logarithms.",
        ),
        KnownWrong(
            lambda probs: math.prod(probs) ** (-1 / len(probs)),
            "0 has no negative power in Python, and the product of many probabilities is 0 in "
            "floating point. Add logarithms; an impossible token makes the perplexity infinite.",
        ),
    ),
    hints=(
        "What is the perplexity of a fair die? Start from the answer.",
        "The mean of the negative logarithms, then the exponential.",
        "np.log(0) is -inf, with a warning; `with np.errstate(divide='ignore'):` keeps it quiet.",
    ),
    notice="A fair die has 6, whatever the number of throws: perplexity counts equal choices. And "
    "the sum of logarithms survives 400 tokens where the product does not.",
)
