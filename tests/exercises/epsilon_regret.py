"""Right answers to ``epsilon_regret``, written in other ways."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.epsilon_regret import _regret


def _by_lists(
    rates: np.ndarray, epsilon: float, coins: np.ndarray, arms: np.ndarray, chances: np.ndarray
) -> float:
    answers: list[list[bool]] = [[] for _ in rates]
    shown = []
    for coin, arm, chance in zip(coins, arms, chances, strict=True):
        means = [sum(given) / len(given) if given else 0.0 for given in answers]
        item = int(arm) if coin < epsilon else means.index(max(means))
        answers[item].append(bool(chance < rates[item]))
        shown.append(item)
    return float((max(rates) - rates[shown]).sum())


def _divided_where_tried(
    rates: np.ndarray, epsilon: float, coins: np.ndarray, arms: np.ndarray, chances: np.ndarray
) -> float:
    accepted, trials = np.zeros(len(rates)), np.zeros(len(rates))
    for t in range(len(coins)):
        means = np.divide(accepted, trials, out=np.zeros(len(rates)), where=trials > 0)
        item = np.argmax(means) if coins[t] >= epsilon else arms[t]
        trials[item] += 1
        accepted[item] += chances[t] < rates[item]
    return float(trials @ (rates.max() - rates))


CORRECT = (_regret, _by_lists, _divided_where_tried)

EQUIVALENT = {
    "trials[arm] += 2": "all estimates are halved, and their order stays the same",
}
