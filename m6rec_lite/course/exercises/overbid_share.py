"""Exercise ``overbid_share``: predict what is left of a profit if all rates are doubled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Answer = Callable[[np.ndarray, np.ndarray, float], float]


def _sum(bids: np.ndarray, worth: np.ndarray, paid: np.ndarray, others: np.ndarray) -> float:
    return float(np.where(bids > others, worth - paid, 0.0).sum())


def _share(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    """The right answer."""
    best = _sum(rates, rates, others, others)
    return _sum(factor * rates, rates, others, others) / best


def _believed(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    bids = factor * rates
    return _sum(bids, bids, others, others) / _sum(rates, rates, others, others)


def _first_price(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    bids = factor * rates
    return _sum(bids, rates, bids, others) / _sum(rates, rates, others, others)


def _equal_wins(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    gain = np.where(factor * rates >= others, rates - others, 0.0).sum()
    return float(gain / _sum(rates, rates, others, others))


def _everywhere(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    return float((rates - others).sum() / _sum(rates, rates, others, others))


def _of_the_won(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    first, second = (bids > others for bids in (rates, factor * rates))
    means = [(rates - others)[won].sum() / max(won.sum(), 1) for won in (first, second)]
    return float(means[1] / means[0])


def _lost(rates: np.ndarray, others: np.ndarray, factor: float) -> float:
    return 1 - _share(rates, others, factor)


def _draws(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Click rates, and the highest other bids, half of them below .03, as in the lesson."""
    rng = np.random.default_rng(seed)
    return rng.beta(0.8, 20, n), rng.lognormal(np.log(0.03), 0.8, n)


def _cases() -> tuple[Case, ...]:
    rates, others = np.array([0.4, 0.2, 0.1]), np.array([0.3, 0.25, 0.2])
    rows: tuple[tuple[Any, ...], ...] = (
        (rates, others, 1.0, "right rates"),
        (rates, others, 1.5, "half as much again"),
        (rates, others, 2.0, "doubled: the third bid is equal to the other"),
        (rates, others, 0.5, "halved: nothing is won"),
        (*_draws(400, 1), 1.3, "four hundred auctions"),
        (*_draws(400, 2), 0.8, "rates too low"),
    )
    return tuple(Case((*args,), _share(*args), note=note) for *args, note in rows)


def _doubled(answer: Answer) -> float:
    return float(answer(*_draws(100_000, 3), 2.0))


EXERCISE = OpenExercise(
    id="overbid_share",
    title="What is left at doubled rates?",
    cases=_cases,
    measured=_doubled,
    example=0.5,
    known_wrong=(
        KnownWrong(
            _believed,
            "A click is worth more there because the bid is higher. The worth stays: the true "
            "rate.",
        ),
        KnownWrong(
            _first_price,
            "The winner pays its own bid there. The price is the other bid, whatever the factor.",
        ),
        KnownWrong(_equal_wins, "An equal bid wins there. It loses: the bid must be higher."),
        KnownWrong(
            _everywhere,
            "All auctions are counted as won. A lost one earns nothing and costs nothing.",
        ),
        KnownWrong(
            _of_the_won,
            "Means over the auctions that were won are compared. More auctions are won with higher "
            "bids: compare the sums over all.",
        ),
        KnownWrong(_lost, "That is the share that is lost; wanted is the share that is left."),
        KnownWrong(
            lambda r, m, factor: _share(r, m, 1 / factor),
            "The rates are divided by the factor: that is bidding too little.",
        ),
        KnownWrong(
            lambda r, m, factor: _share(r, m, factor) * _sum(r, r, m, m),
            "That is the profit itself. Divide by the profit of the true rates.",
        ),
    ),
    hints=(
        "Profit of bids: where bids > others, rates - others, else 0; then the sum.",
        "The bids are factor * rates; the worth is rates, whatever was bid.",
        "Divide by the profit at factor 1.",
    ),
    notice="By hand, with uniform other bids, nothing was left; here much is. What counts is how "
    "many other bids lie between the true rate and the bid: the shape of the market decides.",
)
