"""Open exercise ``nucleus_size``: how temperature changes the size of the nucleus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Size = Callable[[np.ndarray, float, float], int]


def zipf_logits(vocab_size: int) -> np.ndarray:
    """Return logits whose probabilities are proportional to 1 / rank, in a shuffled order."""
    order = np.random.default_rng(0).permutation(vocab_size)
    return -np.log(1.0 + order)


LOGITS = zipf_logits(4096)
SMALL = np.log(np.array([0.0625, 0.5, 0.125, 0.25, 0.0625]))


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def _reach(probs: np.ndarray, p: float) -> int:
    """Return the number of the largest probabilities whose sum reaches p."""
    return int((np.cumsum(np.sort(probs)[::-1])[:-1] < p - 1e-12).sum()) + 1


def _size(logits: np.ndarray, temperature: float, p: float) -> int:
    return _reach(_softmax(logits / temperature), p)


def _powers_not_normalised(logits: np.ndarray, temperature: float, p: float) -> int:
    return _reach(_softmax(logits) ** (1 / temperature), p)


def _nucleus_first(logits: np.ndarray, temperature: float, p: float) -> int:
    return _reach(_softmax(logits), p)


EXERCISE = OpenExercise(
    id="nucleus_size",
    title="Predict and measure: temperature and the nucleus",
    data={"logits": LOGITS},
    cases=tuple(
        Case((logits, t, p), _size(logits, t, p), note=note)
        for logits, t, p, note in (
            (SMALL, 1.0, 0.8, "1/2 and 1/4 are less than .8"),
            (SMALL, 1.0, 0.75, "two tokens reach .75 exactly"),
            (SMALL, 0.5, 0.8, "squares of the probabilities, divided by their sum"),
            (SMALL, 2.0, 0.8, "roots of the probabilities"),
            (SMALL, 1.0, 1.0, "p = 1 keeps all"),
            (SMALL + 900.0, 1.0, 0.8, "large logits: e to the 900 is infinite"),
            (np.array([0.0, 0.0, -1000.0]), 1.0, 0.8, "logits that lie far apart"),
            (np.zeros(10), 1.0, 0.8, "eight times .1 is .8, up to rounding"),
            (LOGITS, 0.7, 0.9, "4,096 tokens"),
            (LOGITS, 1.5, 0.5, "4,096 tokens, flatter"),
        )
    ),
    known_wrong=(
        KnownWrong(
            _nucleus_first,
            "The temperature has no effect: divide the logits by it *before* the softmax, as "
            "samplers do.",
        ),
        KnownWrong(
            lambda logits, t, p: _reach(_softmax(logits * t), p),
            "The logits are multiplied by the temperature. Divide: T below 1 makes them sharper.",
        ),
        KnownWrong(
            _powers_not_normalised,
            "The probabilities to the power 1/T do not sum to one: divide them by their sum.",
        ),
        KnownWrong(
            lambda logits, t, p: max(1, _size(logits, t, p) - 1),
            "The token that crosses p is not counted: the nucleus *reaches* p.",
        ),
        KnownWrong(
            lambda logits, t, p: int((np.cumsum(-np.sort(-_softmax(logits / t))) <= p).sum()) + 1,
            "Where the sum is exactly p, one token too many is counted.",
        ),
        KnownWrong(
            lambda logits, t, p: int((np.cumsum(np.sort(_softmax(logits / t))) < p).sum()) + 1,
            "The sum begins with the least probable tokens. Sort from the most probable.",
        ),
        KnownWrong(
            lambda logits, t, p: int((np.cumsum(_softmax(logits / t)) < p).sum()) + 1,
            "The sum runs in the order of the vocabulary. Sort by probability first.",
        ),
        KnownWrong(
            lambda logits, t, p: int(np.ceil(p * len(logits))),
            "That is a share p of the tokens. A share p of the *probability* is wanted.",
        ),
        KnownWrong(
            lambda logits, t, p: int(np.nan_to_num(_overflowing(logits, t, p))),
            "The exponentials overflow: subtract the largest logit first.",
        ),
    ),
    hints=(
        "Divide the logits by T, then softmax; subtract the largest first.",
        "np.cumsum(np.sort(probs)[::-1]) is the probability of the first 1, 2, 3, … tokens.",
        "Count the sums below p, and add one.",
    ),
    notice="Temperature and top-p act together: T below 1 shrinks the nucleus, so p = .9 keeps few "
    "tokens; T above 1 fills it with the tail. Say both when you report a sampler.",
    measured=lambda answer: float(answer(LOGITS, 1.0, 0.9) / answer(LOGITS, 0.5, 0.9)),
    example=10.0,
)


def _overflowing(logits: np.ndarray, temperature: float, p: float) -> int:
    """Return the size by a softmax without the maximum taken off."""
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp(logits / temperature)
        sums = np.cumsum(np.sort(weights / weights.sum())[::-1])
    return int((sums[:-1] < p - 1e-12).sum()) + 1
