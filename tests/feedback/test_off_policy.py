"""Off-policy estimates against exact expectations, hand calculation and live truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, Dataset, FrontPage
from m6rec_lite.feedback import (
    Estimate,
    SlateLog,
    doubly_robust,
    ips,
    list_probabilities,
    self_normalised,
)

#: Two actions in one context: probabilities of the logging and of the target policy, and rewards.
LOGGING, TARGET, REWARD = np.array([0.8, 0.2]), np.array([0.1, 0.9]), np.array([0.5, 1.5])
TRUTH = float(TARGET @ REWARD)


def log_of(actions: np.ndarray, propensities: np.ndarray = LOGGING) -> SlateLog:
    items = np.asarray(actions)[:, None]
    n = len(items)
    return SlateLog(np.zeros(n), np.zeros(n), items, REWARD[items], propensities[items])


def expectation(estimator, n: int = 3, logging: np.ndarray = LOGGING) -> float:
    """The exact mean of an estimator over all logs of n draws of the logging policy."""
    total = 0.0
    for actions in product((0, 1), repeat=n):
        log = log_of(np.array(actions))
        total += logging[list(actions)].prod() * estimator(log).value
    return total


def target_of(log: SlateLog) -> np.ndarray:
    return TARGET[log.items]


def model_of(log: SlateLog, rewards: np.ndarray) -> dict[str, np.ndarray]:
    expected = np.full(log.items.shape, TARGET @ rewards)
    return {"predicted": rewards[log.items], "expected": expected}


def test_ips_is_unbiased_and_clipping_is_not() -> None:
    assert expectation(lambda log: ips(log, target_of(log))) == pytest.approx(TRUTH)
    clipped = expectation(lambda log: ips(log, target_of(log), most=2.0))
    assert clipped == pytest.approx(0.8 * 0.125 * 0.5 + 0.2 * 2.0 * 1.5)
    assert clipped < TRUTH


WRONG = np.array([0.4, 0.4])


@pytest.mark.parametrize("rewards", [np.array([9.0, -4.0]), REWARD])
@pytest.mark.parametrize("propensities", [LOGGING, WRONG])
def test_doubly_robust_needs_one_of_the_two_to_be_right(
    rewards: np.ndarray, propensities: np.ndarray
) -> None:
    def estimator(log: SlateLog) -> Estimate:
        log = replace(log, propensities=propensities[log.items])
        return doubly_robust(log, target_of(log), **model_of(log, rewards))

    both_wrong = rewards is not REWARD and propensities is WRONG
    assert (expectation(estimator) == pytest.approx(TRUTH)) is not both_wrong


def test_without_weights_the_model_is_trusted_alone() -> None:
    log = log_of([0, 1, 1])
    direct = doubly_robust(log, np.zeros((3, 1)), **model_of(log, np.array([2.0, 4.0])))
    assert direct.value == pytest.approx(0.1 * 2.0 + 0.9 * 4.0)


def test_self_normalised_by_hand() -> None:
    log = log_of([0, 0, 1])  # weights 1/8, 1/8, 9/2
    estimate = self_normalised(log, target_of(log))
    assert estimate.value == pytest.approx((0.125 * 0.5 * 2 + 4.5 * 1.5) / 4.75)
    assert estimate.per_slate.mean() == pytest.approx(estimate.value)
    assert estimate.mean_weight == pytest.approx(4.75 / 3)
    assert estimate.n_effective == pytest.approx(4.75**2 / (2 * 0.125**2 + 4.5**2))


@given(st.floats(0.05, 1.0), st.integers(2, 30), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_self_normalised_ignores_a_common_factor(factor: float, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (n, 2)
    log = SlateLog(
        np.zeros(n),
        np.zeros(n),
        rng.integers(0, 5, shape),
        rng.random(shape),
        rng.uniform(0.1, 1, shape),
    )
    target = rng.uniform(0.1, 1, shape)
    scaled = replace(log, propensities=log.propensities * factor)
    before, after = (self_normalised(each, target) for each in (log, scaled))
    assert after.value == pytest.approx(before.value)
    assert log.rewards.min(0).sum() - 1e-9 <= before.value <= log.rewards.max(0).sum() + 1e-9
    assert ips(scaled, target).value == pytest.approx(ips(log, target).value / factor)


def test_the_logging_policy_evaluates_to_the_mean_reward() -> None:
    log = log_of([0, 1, 0, 0])
    for estimate in (ips(log, log.propensities), self_normalised(log, log.propensities)):
        assert estimate.value == pytest.approx(log.rewards.mean())
        assert estimate.n_effective == pytest.approx(4)


def test_the_standard_error_is_that_of_the_mean_slate() -> None:
    estimate = Estimate.of(np.array([1.0, 3.0]), np.ones((2, 1)))
    assert estimate.standard_error == pytest.approx(1.0)


def test_lists_have_probability_one_where_they_were_shown() -> None:
    log = SlateLog(np.zeros(2), np.zeros(2), np.array([[1, 2], [2, 3]]), *np.full((2, 2, 2), 0.5))
    assert list_probabilities(log, np.array([[1, 3], [3, 3]])).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(DataError, match=r"never showed 1 items of the lists, first \[9\]"):
        list_probabilities(log, np.array([[1, 2], [2, 9]]))
    with pytest.raises(DataError, match=r"lists have shape \(1, 2\)"):
        list_probabilities(log, np.array([[1, 2]]))


GOOD = {
    "items": np.array([[1, 2]]),
    "rewards": np.zeros((1, 2)),
    "propensities": np.full((1, 2), 0.5),
}
BAD = [
    ({"propensities": np.array([[0.5, 0.0]])}, "1 propensities are not in"),
    ({"propensities": np.array([[0.5, np.nan]])}, "1 propensities are not in"),
    ({"propensities": np.array([[1.5, 0.5]])}, "1 propensities are not in"),
    ({"rewards": np.array([[np.nan, 0.0]])}, "1 rewards are not finite"),
    ({"rewards": np.zeros((2, 2))}, "one shape"),
    ({name: np.zeros((3, 0)) for name in GOOD}, "empty slates"),
    ({name: np.zeros((0, 4)) for name in GOOD}, "empty slates"),
    ({name: np.ones(4) for name in GOOD}, "one shape"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_log_that_cannot_be_used_is_refused(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SlateLog(np.zeros(1), np.zeros(1), **GOOD | change)


def test_bad_targets_and_predictions_are_refused() -> None:
    log = log_of([0, 1])
    one = np.ones((2, 1))
    for target in (one * 1.2, one * np.nan, -one, np.ones(2)):
        with pytest.raises(DataError, match="probabilities from 0 to 1"):
            ips(log, target)
    with pytest.raises(ValueError, match="above 0"):
        ips(log, one, most=0)
    with pytest.raises(DataError, match=r"positions \[0\]"):
        self_normalised(log, 0 * one)
    for wrong in (one * np.nan, np.ones(2)):
        with pytest.raises(DataError, match="predicted and expected"):
            doubly_robust(log, one, wrong, one)


def test_impressions_become_slates_in_the_order_of_positions(bazaar: Dataset) -> None:
    table = bazaar.impressions
    assert table is not None
    few = table[table["slate_id"] <= 3]
    log = SlateLog.from_impressions(few.sample(frac=1, random_state=0))
    assert log.items.tolist() == few["item_id"].to_numpy().reshape(3, 10).tolist()
    assert log.rewards.sum() == few["clicked"].sum()
    bought = SlateLog.from_impressions(few, reward="purchased")
    assert bought.rewards.sum() == few["purchased"].sum()
    with pytest.raises(DataError, match="positions 0 to k - 1"):
        SlateLog.from_impressions(few.iloc[1:])
    with pytest.raises(DataError, match=r"lack \['propensity'\]"):
        SlateLog.from_impressions(few.drop(columns="propensity"))
    with pytest.raises(DataError, match="empty slates"):
        SlateLog.from_impressions(few.iloc[:0])


def test_ips_meets_the_live_truth_of_the_bazaar(bazaar: Dataset) -> None:
    """A page without the shopper's interest, evaluated from the log and by the oracle."""
    assert isinstance(bazaar.impressions, pd.DataFrame)
    log = SlateLog.from_impressions(bazaar.impressions.iloc[:60_000])
    page = FrontPage(bazaar.oracle, near=1.0)
    target = page.propensities(log.user_ids, log.at, log.items)
    estimate = ips(log, target)
    slates = page.show(log.user_ids, log.at, np.random.default_rng(0))
    chances = bazaar.oracle.click_probability(log.user_ids, slates, log.at, np.arange(10))
    assert abs(estimate.value - chances.sum(axis=1).mean()) < 3 * estimate.standard_error
    assert abs(estimate.mean_weight - 1) < 0.05
    uniform = replace(log, propensities=np.full(log.items.shape, 1 / 900))
    assert abs(ips(uniform, target).mean_weight - 1) > 0.5
