"""Second-price auctions and budgets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from m6rec_lite.ctr import buy_within_budget, second_price

money = st.floats(0, 10)


def test_the_winner_pays_the_other_bid():
    bought = second_price(np.array([3.0, 1.0, 2.0]), np.array([2.0, 2.0, 2.0]))
    assert bought.won.tolist() == [True, False, False]
    assert bought.paid.tolist() == [2.0, 0.0, 0.0]
    assert bought.profit(np.array([5.0, 5.0, 5.0])).tolist() == [3.0, 0.0, 0.0]


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 6, elements=money), arrays(np.float64, 6, elements=money), money)
def test_no_bid_earns_more_than_what_the_impression_is_worth(worth, others, bid):
    honest = second_price(worth, others).profit(worth)
    assert (second_price(np.full(6, bid), others).profit(worth) <= honest + 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 50), st.floats(0.1, 20), st.floats(0, 1))
def test_a_budget_is_never_exceeded_and_bids_are_only_lowered(seed, budget, step):
    rng = np.random.default_rng(seed)
    bids, others = rng.random((2, 40))
    period = np.sort(rng.integers(0, 5, 40))
    bought, factors = buy_within_budget(bids, others, period, budget, step=step)
    assert bought.paid.sum() <= budget + 1e-9
    assert len(factors) == len(np.unique(period))
    assert (factors <= 1).all()
    assert not (bought.won & (bids <= others)).any()
    assert (bought.paid[bought.won] == others[bought.won]).all()


def test_without_pacing_the_budget_goes_to_whoever_comes_first():
    ones, period = np.ones(10), np.repeat(np.arange(5), 2)
    bought, factors = buy_within_budget(ones, 0.5 * ones, period, 2.0, step=0.0)
    assert bought.won.tolist() == [True] * 4 + [False] * 6
    assert factors.tolist() == [1.0] * 5


def test_pacing_lowers_after_a_costly_period_and_raises_after_a_cheap_one():
    others = np.array([0.9, 0.9, 0.0, 0.0, 0.9])
    _, factors = buy_within_budget(np.ones(5), others, np.array([0, 0, 1, 1, 2]), 2.0, step=0.5)
    assert np.allclose(factors, [1.0, np.exp(-0.5), 1.0])


def test_bad_input_is_refused():
    ones = np.ones(3)
    with pytest.raises(ValueError, match="two arrays"):
        second_price(ones, np.ones(2))
    with pytest.raises(ValueError, match="others must be finite and at least 0"):
        second_price(ones, -ones)
    with pytest.raises(ValueError, match="budget > 0"):
        buy_within_budget(ones, ones, np.arange(3), 0.0)
    with pytest.raises(ValueError, match="sort by time first"):
        buy_within_budget(ones, ones, np.array([2, 1, 0]), 1.0)
