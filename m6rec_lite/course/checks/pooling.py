"""Exercises 02.5 and 02.6: skip-grams of a history, and pooling what they say."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 02.5 Skip-grams of a history

Pairs = dict[tuple[int, int], float]


def _skip_pairs(history: list[int], skips: int, weight: float) -> Pairs:
    found: Pairs = defaultdict(float)
    for place, first in enumerate(history):
        for gap, second in enumerate(history[place + 1 : place + 2 + skips]):
            found[first, second] += weight**gap
    return dict(found)


def _overwritten(history: list[int], skips: int, weight: float) -> Pairs:
    found: Pairs = {}
    for gap in range(skips + 1):
        for pair in zip(history, history[gap + 1 :], strict=False):
            found[pair] = weight**gap
    return found


def _both_ways(history: list[int], skips: int, weight: float) -> Pairs:
    found: Pairs = defaultdict(float)
    for (first, second), amount in _skip_pairs(history, skips, weight).items():
        found[first, second] += amount
        found[second, first] += amount
    return dict(found)


SKIP_PAIRS = Exercise(
    id="02.5",
    title="Skip-grams of a history",
    answer="skip_pairs",
    cases=(
        Case(
            args=([1, 2, 3, 4], 1, 0.5),
            wanted={(1, 2): 1, (2, 3): 1, (3, 4): 1, (1, 3): 0.5, (2, 4): 0.5},
        ),
        Case(
            args=([7, 8, 7, 8], 2, 0.5),
            wanted={(7, 8): 2.25, (8, 7): 1.0, (7, 7): 0.5, (8, 8): 0.5},
            note="a pair that occurs at two distances",
        ),
        Case(args=([5, 6, 7], 0, 0.5), wanted={(5, 6): 1, (6, 7): 1}, note="nothing skipped"),
        Case(args=([5], 3, 0.5), wanted={}, note="a single item"),
    ),
    known_wrong=(
        KnownWrong(
            lambda history, skips, weight: {
                pair: amount * weight
                for pair, amount in _skip_pairs(history, skips, weight).items()
            },
            "Neighbours have no item between them, so they count weight ** 0 = 1. The exponent is "
            "the number of items left out, not the distance.",
        ),
        KnownWrong(
            lambda history, skips, weight: _skip_pairs(history, skips, 1.0),
            "Every pair counts 1, however far apart. Each item left out multiplies by `weight`.",
        ),
        KnownWrong(
            _overwritten,
            "A pair that occurs again replaces what it had. Add: a Counter or a defaultdict(float) "
            "helps.",
        ),
        KnownWrong(
            lambda history, skips, weight: _skip_pairs(history, skips - 1, weight),
            "One distance is missing: with skips=1 there are pairs of neighbours *and* pairs with "
            "one item between, two distances in all.",
        ),
        KnownWrong(
            _both_ways,
            "Pairs are counted in both directions. What comes next has an order: the earlier item "
            "first.",
        ),
        KnownWrong(
            lambda history, skips, weight: {
                pair: amount
                for pair, amount in _skip_pairs(history, skips, weight).items()
                if amount == weight**skips
            },
            "Only pairs with exactly `skips` items between are counted. *Up to* so many are asked.",
        ),
    ),
    correct_alternatives=(
        _skip_pairs,
        lambda history, skips, weight: {
            pair: sum(
                weight ** (b - a - 1)
                for a in range(len(history))
                for b in range(a + 1, min(a + 2 + skips, len(history)))
                if (history[a], history[b]) == pair
            )
            for pair in {
                (history[a], history[b])
                for a in range(len(history))
                for b in range(a + 1, min(a + 2 + skips, len(history)))
            }
        },
    ),
    hints=(
        "Write down all pairs of [1, 2, 3, 4] with at most one item between.",
        "For each gap from 0 to skips: zip(history, history[gap + 1 :]).",
        "Add weight ** gap to the pair's entry, in a defaultdict(float).",
    ),
    notice="`NGram(2, skips=…, skip_weight=…)` counts just this, in arrays. A pair met at two "
    "distances earns both: 7 → 8 has 2.25.",
)


# 02.6 Pool two opinions


def _normal(values: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return values / values.sum()


def _raw(base: np.ndarray, experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    base, experts, weights = map(np.asarray, (base, experts, weights))
    return base * np.prod((experts / base) ** weights[:, None], axis=0)


def _pool(base: np.ndarray, experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _normal(_raw(base, experts, weights))


def _pool_in_logs(base: np.ndarray, experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    score = np.log(base) + np.asarray(weights) @ (np.log(experts) - np.log(base))
    return _normal(np.exp(score - score.max()))


_BASE = np.array([0.40, 0.20, 0.20, 0.20])
_EXPERTS = np.array([[0.30, 0.40, 0.05, 0.25], [0.30, 0.05, 0.40, 0.25]])


def _powers(experts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.prod(np.asarray(experts) ** np.asarray(weights)[:, None], axis=0)


POOL = Exercise(
    id="02.6",
    title="Pool two opinions",
    answer="pool",
    cases=lambda: tuple(
        Case(
            args=(_BASE, _EXPERTS[:n], np.array(weights)),
            wanted=_pool(_BASE, _EXPERTS[:n], np.array(weights)),
            note=note,
        )
        for n, weights, note in (
            (2, [1.0, 1.0], "the experts of the chapter"),
            (2, [1.0, 0.5], "the second speaks more softly"),
            (1, [1.0], "one expert alone is right"),
            (2, [0.0, 0.0], "nobody has a say"),
        )
    ),
    known_wrong=(
        KnownWrong(
            lambda base, experts, weights: (
                np.asarray(weights) @ experts / sum(weights) if sum(weights) else np.array(base)
            ),
            "That is the weighted mean of the experts. It is content if one of them is sure; "
            "multiply the lifts instead.",
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
    correct_alternatives=(
        _pool,
        _pool_in_logs,
        lambda base, experts, weights: _pool_in_logs(base, experts, weights).tolist(),
    ),
    hints=(
        "By which factor does an expert make an item likelier than the base does?",
        "In logarithms: ln base + the sum of weight * (ln expert - ln base).",
        "np.exp of that, divided by its sum. `weights @ (np.log(experts) - np.log(base))` adds up.",
    ),
    notice="With one expert of weight 1 the base cancels and the expert is right; with weight 0 "
    "nobody speaks and popularity is left. That is back-off again, by another door.",
)
