"""Exercise ``skip_grams``: skip-grams of a history."""

from __future__ import annotations

from collections import defaultdict

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Pairs = dict[tuple[int, int], float]


def _skip_pairs(history: list[int], skips: int, weight: float) -> Pairs:
    pairs: Pairs = defaultdict(float)
    for i, first in enumerate(history):
        for gap, second in enumerate(history[i + 1 : i + 2 + skips]):
            pairs[first, second] += weight**gap
    return dict(pairs)


def _overwritten(history: list[int], skips: int, weight: float) -> Pairs:
    pairs: Pairs = {}
    for gap in range(skips + 1):
        for pair in zip(history, history[gap + 1 :], strict=False):
            pairs[pair] = weight**gap
    return pairs


def _both_ways(history: list[int], skips: int, weight: float) -> Pairs:
    pairs: Pairs = defaultdict(float)
    for (first, second), amount in _skip_pairs(history, skips, weight).items():
        pairs[first, second] += amount
        pairs[second, first] += amount
    return dict(pairs)


EXERCISE = Exercise(
    id="skip_grams",
    title="Skip-grams of a history",
    cases=(
        Case(
            args=([1, 2, 3, 4], 1, 0.5),
            expected={(1, 2): 1, (2, 3): 1, (3, 4): 1, (1, 3): 0.5, (2, 4): 0.5},
        ),
        Case(
            args=([7, 8, 7, 8], 2, 0.5),
            expected={(7, 8): 2.25, (8, 7): 1.0, (7, 7): 0.5, (8, 8): 0.5},
            note="a pair that occurs at two distances",
        ),
        Case(args=([5, 6, 7], 0, 0.5), expected={(5, 6): 1, (6, 7): 1}, note="nothing skipped"),
        Case(args=([5], 3, 0.5), expected={}, note="a single item"),
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
            lambda history, skips, weight: {
                (first, second): amount
                for (first, second), amount in _skip_pairs(history, skips, weight).items()
                if first != second
            },
            "Pairs of an item with itself are dropped. A person may come back to an item: 7, 8, 7 "
            "holds the pair (7, 7).",
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
            "Only pairs with exactly `skips` items between are counted. Count *up to* `skips`.",
        ),
    ),
    hints=(
        "Write down all pairs of [1, 2, 3, 4] with at most one item between.",
        "For each gap from 0 to skips: zip(history, history[gap + 1 :]).",
        "Add weight ** gap to the pair's entry, in a defaultdict(float).",
    ),
    notice="`NGram(2, skips=…, skip_weight=…)` counts just this, in arrays. A pair met at two "
    "distances earns both: 7 → 8 has 2.25.",
)
