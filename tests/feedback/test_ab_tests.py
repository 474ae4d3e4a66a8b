"""Assignment, sample size and sequential tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from m6rec_lite.data import DataError
from m6rec_lite.feedback import assign, look, power_of, sample_size


def test_arms_are_stable_even_and_independent_between_experiments() -> None:
    users = np.arange(20_000)
    first, second = (assign(users, experiment=name) for name in ("first", "second"))
    assert np.array_equal(first[::-1], assign(users[::-1], experiment="first"))
    assert stats.binomtest(int(first.sum()), len(users)).pvalue > 0.001
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    tenth = assign(users, experiment="first", share=0.1)
    assert abs(tenth.mean() - 0.1) < 0.01
    assert first[tenth].all()  # a larger share keeps those who were treated
    assert assign(np.array(["ann", "bob"]), experiment="x").dtype == bool
    with pytest.raises(ValueError, match="between 0 and 1"):
        assign(users, experiment="first", share=1.0)


def test_sample_size_by_hand_and_its_power() -> None:
    assert sample_size(0.5, 1.0) == 63  # 2 (1.95996 + .84162)^2 / .25 = 62.8
    assert sample_size(-0.5, 1.0) == 63
    assert sample_size(0.25, 1.0) == 252  # four times 62.8, rounded up
    assert power_of(0.5, 1.0, 63) == pytest.approx(0.8, abs=0.003)
    assert power_of(0.0, 1.0, 63) == pytest.approx(0.05)
    assert power_of(-0.5, 1.0, 63) == pytest.approx(power_of(0.5, 1.0, 63))
    for wrong in ((0.0, 1.0), (0.1, 0.0), (0.1, np.nan)):
        with pytest.raises(ValueError, match="sample_size wants"):
            sample_size(*wrong)
    with pytest.raises(ValueError, match="sample_size wants"):
        sample_size(0.1, 1.0, power=1.0)


def test_power_equals_that_of_statsmodels() -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    expected = power.NormalIndPower().power(0.3, 100, 0.05)
    assert power_of(0.3, 1.0, 100) == pytest.approx(expected)
    n = power.NormalIndPower().solve_power(0.1, power=0.9, alpha=0.01)
    assert sample_size(0.1, 1.0, power=0.9, level=0.99) == np.ceil(n)


def test_a_look_equals_welch_at_its_size() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.poisson(0.53, 900) + 1000.0, rng.poisson(0.5, 900) + 1000.0
    looks = look(a, b, [10, 300, 900])
    for i, n in enumerate((10, 300, 900)):
        welch = stats.ttest_ind(a[:n], b[:n], equal_var=False)
        assert looks.difference[i] / np.sqrt(looks.variance[i]) == pytest.approx(welch.statistic)
    assert looks.fixed_p_values()[2] == pytest.approx(welch.pvalue, rel=0.01)


def test_the_sequential_p_value_is_the_mixture_of_likelihood_ratios() -> None:
    looks = look(np.array([0.0, 1, 2, 4, 1]), np.array([0.0, 0, 1, 0, 2]), [5])
    effects = np.linspace(-30, 30, 200_001)
    deviation = np.sqrt(looks.variance[0])
    density = stats.norm.pdf(effects, 0, 2.0)
    likelihood = stats.norm.pdf(looks.difference[0], effects, deviation)
    ratio = np.trapezoid(likelihood * density, effects) / stats.norm.pdf(
        looks.difference[0], 0, deviation
    )
    assert looks.sequential_p_values(scale=2.0)[0] == pytest.approx(min(1.0, 1 / ratio), rel=1e-6)


def test_peeking_errs_often_and_the_sequential_test_does_not() -> None:
    rng = np.random.default_rng(1)
    steps, wrong = range(50, 2001, 50), {"fixed": 0, "peeking": 0, "sequential": 0}
    for _ in range(300):
        looks = look(*rng.poisson(0.5, (2, 2000)), steps)
        p = looks.fixed_p_values()
        sequential = looks.sequential_p_values(scale=0.1)
        assert (np.diff(sequential) <= 0).all()
        wrong["fixed"] += p[-1] < 0.05
        wrong["peeking"] += (p < 0.05).any()
        wrong["sequential"] += sequential[-1] < 0.05
    assert wrong["fixed"] < 0.09 * 300
    assert wrong["peeking"] > 0.2 * 300
    assert wrong["sequential"] <= 0.05 * 300


def test_a_large_effect_is_found_early() -> None:
    rng = np.random.default_rng(2)
    looks = look(rng.poisson(0.8, 2000), rng.poisson(0.5, 2000), range(100, 2001, 100))
    assert (looks.sequential_p_values(scale=0.1)[:10] < 0.05).any()


def test_bad_arms_are_refused() -> None:
    good = np.arange(10.0)
    with pytest.raises(DataError, match="10 finite values"):
        look(good, good[:9], [5, 10])
    with pytest.raises(DataError, match="1 are not finite"):
        look(np.where(good == 3, np.nan, good), good, [5, 10])
    with pytest.raises(DataError, match="all values of both arms are equal"):
        look(np.ones(9), np.ones(9), [9])
    for looks in ([], [1, 5], [5, 5]):
        with pytest.raises(ValueError, match="ascending numbers"):
            look(good, good, looks)
    with pytest.raises(ValueError, match="scale"):
        look(good, good[::-1] ** 2, [10]).sequential_p_values(scale=0)
