"""Exercise ``gap_p_value``: is the largest gap between groups more than chance?"""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _gap(values: np.ndarray, groups: np.ndarray) -> float:
    """The largest difference between the means of two groups."""
    return float(np.ptp([values[groups == group].mean() for group in np.unique(groups)]))


def _drawn(values: np.ndarray, groups: np.ndarray, orders: np.ndarray) -> np.ndarray:
    return np.array([_gap(values[order], groups) for order in orders])


def _answer(values: np.ndarray, groups: np.ndarray, orders: np.ndarray) -> tuple[float, float]:
    """The right answer."""
    observed = _gap(values, groups)
    count = (_drawn(values, groups, orders) >= observed).sum()
    return observed, float((1 + count) / (1 + len(orders)))


def _sums(values: np.ndarray, groups: np.ndarray) -> float:
    return float(np.ptp([values[groups == group].sum() for group in np.unique(groups)]))


def _from_all(values: np.ndarray, groups: np.ndarray, orders: np.ndarray) -> tuple[float, float]:
    def gap(x: np.ndarray) -> float:
        means = [x[groups == group].mean() for group in np.unique(groups)]
        return float(np.abs(np.array(means) - x.mean()).max())

    count = sum(gap(values[order]) >= gap(values) for order in orders)
    return gap(values), (1 + count) / (1 + len(orders))


def _together(values: np.ndarray, groups: np.ndarray, orders: np.ndarray) -> tuple[float, float]:
    observed = _gap(values, groups)
    count = sum(_gap(values[order], groups[order]) >= observed for order in orders)
    return observed, (1 + count) / (1 + len(orders))


def _first_two(values: np.ndarray, groups: np.ndarray, orders: np.ndarray) -> tuple[float, float]:
    def gap(x: np.ndarray) -> float:
        first, second = np.unique(groups)[:2]
        return float(abs(x[groups == first].mean() - x[groups == second].mean()))

    count = sum(gap(values[order]) >= gap(values) for order in orders)
    return gap(values), (1 + count) / (1 + len(orders))


def _cases() -> tuple[Case, ...]:
    draw = np.random.default_rng(0)
    orders = np.array([draw.permutation(8) for _ in range(30)])
    values = np.array([1, 1, 1, 0, 0.5, 0.5, 0, 0])  # exact in binary, so that gaps can be equal
    rows = (
        (values, np.array([0, 0, 1, 1, 2, 2, 2, 2]), orders, "three groups"),
        (values[::-1].copy(), np.array([5, 5, 5, 5, 9, 9, 9, 9]), orders[:9], "two groups"),
        (values, np.array([0, 1, 0, 1, 2, 3, 2, 3]), orders, "four groups, a small gap"),
        (values, np.array([3, 3, 3, 3, 1, 1, 1, 1]), orders[:1], "one random order"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="gap_p_value",
    title="Is the largest gap more than chance?",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda values, groups, orders: (
                _gap(values, groups),
                float((_drawn(values, groups, orders) >= _gap(values, groups)).mean()),
            ),
            "The order that was observed is one of the possible ones, too: (1 + count) / (1 + m). "
            "A p-value of 0 would say that it cannot happen, though it did.",
        ),
        KnownWrong(
            lambda values, groups, orders: (
                _gap(values, groups),
                (1 + (_drawn(values, groups, orders) > _gap(values, groups)).sum())
                / (1 + len(orders)),
            ),
            "An equal gap is at least as large: `>=`, not `>`.",
        ),
        KnownWrong(
            lambda values, groups, orders: (
                _gap(values, groups),
                (1 + (_drawn(values, groups, orders) <= _gap(values, groups)).sum())
                / (1 + len(orders)),
            ),
            "The random gaps that are *smaller* are counted. A p-value counts those that are at "
            "least as large.",
        ),
        KnownWrong(
            lambda values, groups, orders: (
                _sums(values, groups),
                (1 + sum(_sums(values[order], groups) >= _sums(values, groups) for order in orders))
                / (1 + len(orders)),
            ),
            "Sums are compared: a large group then looks well served. Compare means.",
        ),
        KnownWrong(
            _from_all,
            "That is the distance of a group from the mean of all. Wanted is the difference "
            "between the best and the worst group.",
        ),
        KnownWrong(
            _together,
            "Values and groups are permuted together, so every user stays in its group and nothing "
            "changes. Permute one of them.",
        ),
        KnownWrong(
            _first_two,
            "Only the first two groups are compared. Wanted is the best against the worst.",
        ),
    ),
    hints=(
        "Write a function of values that returns the largest mean of a group less the smallest.",
        "values[order] gives the users random groups: how large is the gap then?",
        "Count the orders with a gap >= the observed one, and return (1 + count) / (1 + m).",
    ),
    notice="The more groups, the larger the gap by chance alone. A gap is a finding only beside "
    "what random groups of the same sizes show.",
)
