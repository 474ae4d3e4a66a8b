"""Exercise ``rate_regret``: what wrong click rates cost in second-price auctions."""

from __future__ import annotations

from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _profits(bids: np.ndarray, worth: np.ndarray, others: np.ndarray) -> np.ndarray:
    """``(n,)`` expected profits of bids, the second price paid."""
    return np.where(bids > others, worth - others, 0.0)


def _rate_regret(rates: np.ndarray, true_rates: np.ndarray, others: np.ndarray) -> float:
    """The right answer."""
    best = _profits(true_rates, true_rates, others)
    return float((best - _profits(rates, true_rates, others)).mean())


def _first_price(rates: np.ndarray, true_rates: np.ndarray, others: np.ndarray) -> float:
    best = np.where(true_rates > others, true_rates - true_rates, 0.0)
    return float((best - np.where(rates > others, true_rates - rates, 0.0)).mean())


def _equal_wins(rates: np.ndarray, true_rates: np.ndarray, others: np.ndarray) -> float:
    best = _profits(true_rates, true_rates, others)
    return float((best - np.where(rates >= others, true_rates - others, 0.0)).mean())


def _of_the_won(rates: np.ndarray, true_rates: np.ndarray, others: np.ndarray) -> float:
    means = [
        _profits(bids, true_rates, others).sum() / max((bids > others).sum(), 1)
        for bids in (true_rates, rates)
    ]
    return float(means[0] - means[1])


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(0)
    true = rng.beta(2, 20, 50)
    odds = 10 * true / (1 - true)
    market = rng.lognormal(np.log(0.08), 0.7, 50)
    rows: tuple[tuple[Any, ...], ...] = (
        (np.array([0.4, 0.1, 0.3]), np.array([0.2, 0.3, 0.3]), np.array([0.3, 0.2, 0.1]),
         "one bid too high, one too low, one right"),
        (np.array([0.3, 0.5]), np.array([0.1, 0.5]), np.array([0.3, 0.2]), "an equal bid loses"),
        (2 * true, true, market, "rates that are doubled"),
        (true, true, market, "true rates cost nothing"),
        (np.full(50, true.mean()), true, market, "the mean rate for all"),
        (odds / (1 + odds), true, market, "odds ten times too high"),
    )  # fmt: skip
    return tuple(Case((*args,), _rate_regret(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="rate_regret",
    title="What wrong click rates cost",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda r, t, m: float((_profits(t, t, m) - _profits(r, r, m)).mean()),
            "The bidder's own rates are taken for the worth. That is the profit which the bidder "
            "*believes* in; what comes is decided by the true rates.",
        ),
        KnownWrong(
            _first_price,
            "The winner pays its own bid there. In a second-price auction it pays the other one.",
        ),
        KnownWrong(_equal_wins, "An equal bid wins there. It loses: the bid must be higher."),
        KnownWrong(
            lambda r, t, m: -_rate_regret(r, t, m),
            "The sign is turned: the regret is the best profit less that of the bids, at least 0.",
        ),
        KnownWrong(
            lambda r, t, m: float((_profits(t, t, m) - _profits(r, t, m)).sum()),
            "That is the sum. Wanted is the mean an auction.",
        ),
        KnownWrong(
            lambda r, t, m: float(np.abs(r - t).mean()),
            "That is the error of the rates. Where it changes no win it costs nothing.",
        ),
        KnownWrong(
            _of_the_won,
            "Each mean is over the auctions that were won. A lost auction earns 0, and counts.",
        ),
        KnownWrong(
            lambda r, t, m: float((_profits(t, t, m) - np.where(r > m, t, 0.0)).mean()),
            "Nothing is paid there. The winner pays the other bid.",
        ),
    ),
    hints=(
        "Write the expected profit of any bids: where bid > other, true rate - other, else 0.",
        "Two calls: with the true rates as bids, and with the rates as bids.",
        "The mean of the differences.",
    ),
    notice="The regret is never below 0: no bids beat the true rates. In the first case the right "
    "rate of the third auction costs nothing, and both errors cost the same.",
)
