"""Exercise ``epsilon_regret``: predict which epsilon loses least, then measure it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

Answer = Callable[[np.ndarray, float, np.ndarray, np.ndarray, np.ndarray], float]

#: True rates of acceptance of the measurement that is predicted, and the values of epsilon.
RATES = np.array([0.04, 0.06, 0.05, 0.12, 0.03, 0.08])
EPSILONS = (0.0, 0.02, 0.1, 0.3, 1.0)


def _simulate(
    rates: np.ndarray,
    epsilon: float,
    coins: np.ndarray,
    arms: np.ndarray,
    chances: np.ndarray,
    *,
    explores: Callable[[float, float], bool] = lambda coin, epsilon: coin < epsilon,
    estimate: Callable[[np.ndarray, np.ndarray], np.ndarray] = (
        lambda accepted, trials: accepted / np.maximum(trials, 1)
    ),
    learns_greedily: bool = True,
) -> tuple[list[float], list[float]]:
    """Return the regret of each round, and the answers."""
    trials, accepted = np.zeros(len(rates)), np.zeros(len(rates))
    regrets, answers = [], []
    for coin, arm, chance in zip(coins, arms, chances, strict=True):
        explored = explores(coin, epsilon)
        if not explored:
            arm = estimate(accepted, trials).argmax()
        answer = float(chance < rates[arm])
        regrets.append(float(rates.max() - rates[arm]))
        answers.append(answer)
        if explored or learns_greedily:
            trials[arm] += 1
            accepted[arm] += answer
    return regrets, answers


def _regret(
    rates: np.ndarray, epsilon: float, coins: np.ndarray, arms: np.ndarray, chances: np.ndarray
) -> float:
    """The right answer."""
    return sum(_simulate(rates, epsilon, coins, arms, chances)[0])


def _draws(n_arms: int, rounds: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(rounds), rng.integers(0, n_arms, rounds), rng.random(rounds)


def _cases() -> tuple[Case, ...]:
    three = np.array([0.2, 0.7, 0.4])
    quarters = np.array([0.25, 0.5, 0.75])
    coins = np.array([0.1, 0.5, 0.2, 0.2, 0.2, 0.2, 0.9])
    arms, chances = np.array([1, 2, 1, 1, 1, 2, 0]), np.array([0.5, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
    rows: tuple[tuple[Any, ...], ...] = (
        (three, 1.0, *_draws(3, 6, 0), "six rounds, all of them explore"),
        (three, 0.0, *_draws(3, 40, 1), "epsilon = 0: the first item for ever"),
        (three, 0.3, *_draws(3, 60, 2), "sixty rounds"),
        (quarters, 0.5, coins, arms, chances, "a coin of epsilon does not explore"),
        (RATES, 0.1, *_draws(6, 300, 3), "rates as of clicks"),
    )
    return tuple(Case((*args,), _regret(*args), note=note) for *args, note in rows)


def _best_epsilon(answer: Answer) -> float:
    """Return the epsilon with the least mean regret over 1,000 rounds and ten seeds."""
    draws = [_draws(len(RATES), 1000, seed) for seed in range(10)]
    means = [np.mean([answer(RATES, epsilon, *each) for each in draws]) for epsilon in EPSILONS]
    return EPSILONS[int(np.argmin(means))]


def _untried_first(accepted: np.ndarray, trials: np.ndarray) -> np.ndarray:
    return np.where(trials > 0, accepted / np.maximum(trials, 1), np.inf)


EXERCISE = OpenExercise(
    id="epsilon_regret",
    title="Which epsilon loses least?",
    cases=_cases,
    measured=_best_epsilon,
    example=0.1,
    known_wrong=(
        KnownWrong(
            lambda *args: sum(_simulate(*args, explores=lambda coin, e: coin >= e)[0]),
            "It explores where it should be greedy: explore if the coin is below epsilon.",
        ),
        KnownWrong(
            lambda rates, *rest: float(
                len(rest[1]) * rates.max() - sum(_simulate(rates, *rest)[1])
            ),
            "The regret is counted in answers, which are luck. It is the best true rate less the "
            "true rate of the item that was shown.",
        ),
        KnownWrong(
            lambda *args: sum(_simulate(*args, estimate=lambda accepted, _: accepted)[0]),
            "The greedy item is the one with most acceptances. Divide by the trials: the rate "
            "counts.",
        ),
        KnownWrong(
            lambda *args: sum(_simulate(*args, estimate=_untried_first)[0]),
            "Items without trials come first there. In this exercise their rate counts as 0.",
        ),
        KnownWrong(
            lambda *args: sum(_simulate(*args, learns_greedily=False)[0]),
            "It learns only from the rounds that explore. Every answer counts.",
        ),
        KnownWrong(
            lambda *args: float(np.mean(_simulate(*args)[0])),
            "That is the mean regret of a round. Wanted is the sum.",
        ),
        KnownWrong(
            lambda rates, *rest: float(
                rates.max() * len(rest[1]) - sum(_simulate(rates, *rest)[0])
            ),
            "That is the sum of the rates that were shown. The regret is what the best item would "
            "have had more.",
        ),
    ),
    hints=(
        "Keep trials and accepted for each item; a round reads one coin, one arm, one chance.",
        "If coin < epsilon show `arm`, else the item with the highest accepted / max(trials, 1).",
        "regret += rates.max() - rates[shown]; the answer is chance < rates[shown].",
    ),
    notice="With epsilon = 0 the first item is shown for ever: the others' rates stay 0, because "
    "nothing shows them. With epsilon = 1 nothing that was learned is used.",
)
