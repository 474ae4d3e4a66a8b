"""Intervals and paired tests against scipy, and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from m6rec_lite.evaluation.significance import (
    bootstrap_interval,
    bootstrap_means,
    paired_test,
)


def test_interval_is_that_of_scipy():
    values = np.random.default_rng(0).exponential(size=200)
    low, high = bootstrap_interval(values, n_resamples=20_000, seed=1)
    peer = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=2
    ).confidence_interval  # fmt: skip
    width = peer.high - peer.low
    assert low == pytest.approx(peer.low, abs=0.03 * width)
    assert high == pytest.approx(peer.high, abs=0.03 * width)


def test_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((80, 600))  # 600 experiments of 80 users; the true mean is 0
    low, high = bootstrap_interval(values, level=0.9, n_resamples=500, seed=2)
    held = np.mean((low <= 0) & (high >= 0))
    assert 0.85 < held < 0.94


def test_missing_users_have_no_part():
    rng = np.random.default_rng(3)
    full = rng.random(300)
    holes = np.concatenate([full, np.full(100, np.nan)])
    low, high = bootstrap_interval(holes, n_resamples=4000)
    wanted = bootstrap_interval(full, n_resamples=4000)
    assert low == pytest.approx(wanted[0], abs=0.005)
    assert high == pytest.approx(wanted[1], abs=0.005)
    assert np.isnan(bootstrap_interval(np.full(5, np.nan))).all()
    assert np.isnan(bootstrap_interval(np.zeros(0))).all()


def test_columns_share_their_draws():
    values = np.random.default_rng(4).random(50)
    means = bootstrap_means(np.stack([values, values + 1], axis=1), n_resamples=30)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0)
    assert means[:, 0].std() > 0


def test_same_seed_same_interval():
    values = np.random.default_rng(5).random(40)
    assert bootstrap_interval(values, seed=7) == bootstrap_interval(values, seed=7)
    assert bootstrap_interval(values, seed=7) != bootstrap_interval(values, seed=8)


def test_bad_options_raise():
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(np.zeros(3), level=95)
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_interval(np.zeros(3), n_resamples=0)


@pytest.fixture
def two_models() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    ease = rng.random(400)  # how easy a user is, common to both models
    return ease + 0.03 + 0.1 * rng.standard_normal(400), ease + 0.1 * rng.standard_normal(400)


def test_t_equals_scipy(two_models):
    first, second = two_models
    result = paired_test(first, second)
    wanted = stats.ttest_rel(first, second)
    assert result.p_value == pytest.approx(wanted.pvalue)
    assert result.statistic == pytest.approx(wanted.statistic)
    interval = wanted.confidence_interval(0.95)
    assert (result.low, result.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert result.mean_difference == pytest.approx(np.mean(first - second))


def test_wilcoxon_equals_scipy(two_models):
    result = paired_test(*two_models, method="wilcoxon")
    wanted = stats.wilcoxon(*two_models)
    assert (result.statistic, result.p_value) == (wanted.statistic, wanted.pvalue)
    assert result.low < result.mean_difference < result.high


def test_pairing_finds_what_an_unpaired_look_would_miss(two_models):
    first, second = two_models
    assert stats.ttest_ind(first, second).pvalue > 0.05
    for method in ("t", "wilcoxon", "bootstrap"):
        result = paired_test(first, second, method=method)
        assert result.p_value < 0.01, method
        assert result.low > 0, method


def test_bootstrap_is_seldom_wrong_where_there_is_no_difference():
    rng = np.random.default_rng(7)
    below = [
        paired_test(rng.random(60), rng.random(60), method="bootstrap", n_resamples=200).p_value
        < 0.05
        for _ in range(300)
    ]
    assert 0.015 < np.mean(below) < 0.10


@pytest.mark.parametrize("method", ["t", "wilcoxon", "bootstrap"])
def test_equal_models_do_not_differ(method):
    values = np.random.default_rng(8).random(30)
    result = paired_test(values, values, method=method)
    assert (result.mean_difference, result.low, result.high, result.p_value) == (0, 0, 0, 1)


def test_a_constant_difference_is_certain():
    values = np.arange(30.0)
    result = paired_test(values + 1, values)
    assert (result.low, result.high, result.p_value) == (1, 1, 0)


def test_users_without_a_value_are_left_out_of_both():
    first = np.array([1.0, np.nan, 3.0, 4.0])
    second = np.array([0.0, 5.0, np.nan, 2.0])
    result = paired_test(first, second)
    assert result.n == 2
    assert result.mean_difference == 1.5


def test_it_reads_as_a_sentence():
    text = str(paired_test(np.arange(9.0), np.zeros(9), what="ndcg@10: A - B"))
    assert text.startswith("ndcg@10: A - B: +4.0000 [+")
    assert text.endswith("(t, 9 users)")


def test_bad_pairs_raise():
    with pytest.raises(ValueError, match="same users"):
        paired_test(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="two users"):
        paired_test(np.zeros(1), np.zeros(1))
    with pytest.raises(ValueError, match="method"):
        paired_test(np.zeros(3), np.zeros(3), method="anova")
