"""Exercise ``log_opinion_pool``: pool two opinions."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _normal(values: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return values / values.sum()


def _raw(base: np.ndarray, experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    base, experts, weights = map(np.asarray, (base, experts, weights))
    return base * np.prod((experts / base) ** weights[:, None], axis=0)


_BASE = np.array([0.40, 0.20, 0.20, 0.20])
_EXPERTS = np.array([[0.30, 0.40, 0.05, 0.25], [0.30, 0.05, 0.40, 0.25]])


def _powers(experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.prod(np.asarray(experts) ** np.asarray(weights)[:, None], axis=0)


EXERCISE = Exercise(
    id="log_opinion_pool",
    title="Pool two opinions",
    cases=lambda: tuple(
        Case(
            args=(_BASE, _EXPERTS[:n], np.array(weights)),
            expected=_normal(_raw(_BASE, _EXPERTS[:n], np.array(weights))),
            note=note,
        )
        for n, weights, note in (
            (2, [1.0, 1.0], "the lesson's experts"),
            (2, [1.0, 0.5], "the second has half the weight"),
            (1, [1.0], "one expert alone is right"),
            (2, [0.0, 0.0], "all weights are 0"),
        )
    ),
    known_wrong=(
        KnownWrong(
            lambda base, experts, weights: (
                np.asarray(weights) @ experts / sum(weights) if sum(weights) else np.array(base)
            ),
            "That is the weighted mean of the experts. In it an item popular with all wins, "
            "although no expert finds it more probable than usual; multiply the lifts instead.",
        ),
        KnownWrong(
            lambda base, experts, weights: _normal(_powers(experts, weights)),
            "That multiplies the experts themselves. Each of them holds the popularity already, so "
            "it counts as often as there are experts: divide each by the base.",
        ),
        KnownWrong(
            lambda base, experts, weights: _normal(base * _powers(experts, weights)),
            "The experts are not divided by the base, so popularity counts once more with every "
            "expert. The lift is expert / base.",
        ),
        KnownWrong(
            _raw,
            "The result does not sum to one. Divide by Z, the sum over the items.",
        ),
        KnownWrong(
            lambda base, experts, weights: _normal(
                np.prod((experts / base) ** np.asarray(weights)[:, None], axis=0)
            ),
            "Where is popularity? These are the lifts alone: multiply by the base once.",
        ),
        KnownWrong(
            lambda base, experts, weights: _normal(
                base * np.prod(np.asarray(weights)[:, None] * (experts / base), axis=0)
            ),
            "The weights multiply the lifts, and scaling to one takes them out again. A weight is "
            "an exponent: it multiplies the logarithm.",
        ),
    ),
    hints=(
        "By which factor does an expert make an item likelier than the base does?",
        "In logarithms: ln base + the sum of weight * (ln expert - ln base).",
        "np.exp of that, divided by its sum. `weights @ (np.log(experts) - np.log(base))` adds up.",
    ),
    notice="With one expert of weight 1 the base cancels and the expert is right; with weight 0 "
    "only popularity is left. That is back-off again.",
)
