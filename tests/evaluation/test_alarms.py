"""Cumulative sums and the alarms that they raise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from m6rec_lite.evaluation import alarm_threshold, cusum, first_alarm, judge_alarm

values = st.floats(-10, 10)


def test_sums_by_hand():
    sums = cusum(np.array([1.0, 3.0, 2.0, -4.0, 5.0]), mean=1.0, deviation=2.0)
    assert sums.tolist() == [0.0, 0.5, 0.5, 0.0, 1.5]


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (3, 7), elements=values), st.floats(0, 2))
def test_a_sum_is_the_largest_excess_of_the_latest_days(table, allowance):
    sums = cusum(table, mean=0.5, deviation=2.0, allowance=allowance)
    steps = (table - 0.5) / 2.0 - allowance
    for day in range(7):
        tails = [steps[:, start : day + 1].sum(axis=1) for start in range(day + 1)]
        assert np.allclose(sums[:, day], np.maximum(np.max(tails, axis=0), 0), atol=1e-9)


def test_the_first_day_above_the_threshold():
    sums = np.array([[0.0, 2.0, 3.0], [2.0, 2.0, 2.0], [5.0, 0.0, 0.0]])
    assert first_alarm(sums, 2.0).tolist() == [2, -1, 0]
    assert int(first_alarm(sums[0], 1.0)) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 90), st.integers(0, 5), st.floats(0.05, 0.5))
def test_a_threshold_keeps_its_share_and_is_the_lowest(n, seed, share):
    quiet = np.random.default_rng(seed).random((n, 4))
    threshold = alarm_threshold(quiet, share)
    assert (first_alarm(quiet, threshold) >= 0).mean() <= share
    assert (first_alarm(quiet, np.nextafter(threshold, -1)) >= 0).mean() > share - 1 / n


def test_an_alarm_is_judged_on_days_that_set_nothing():
    rng = np.random.default_rng(0)
    quiet, other = rng.normal(0.3, 0.08, (2, 4000))
    found = judge_alarm(quiet, other, other + 0.3, n_series=1000)
    assert 0.02 < found.false_alarms < 0.1
    assert (found.missed, found.delay < 3) == (0.0, True)
    never = judge_alarm(quiet, other, other - 0.3, n_series=200)
    assert never.missed == 1.0
    assert np.isnan(never.delay)


def test_a_wrong_mean_of_the_quiet_days_rings_false_alarms():
    days = np.random.default_rng(0).normal(0.3, 0.08, 4000)
    assert judge_alarm(days, days + 0.04, days, n_series=500).false_alarms > 0.3


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="deviation must be above 0"):
        cusum(np.zeros(3), mean=0.0, deviation=0.0)
    with pytest.raises(ValueError, match="leave out the days without a value"):
        cusum(np.array([0.0, np.nan]), mean=0.0, deviation=1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        alarm_threshold(np.zeros((40, 2)), 5.0)
    with pytest.raises(ValueError, match="give at least 20"):
        alarm_threshold(np.zeros((10, 2)), 0.05)
