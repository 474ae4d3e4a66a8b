"""Drift: known values, no more false alarms than promised; a canary finds a worse model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from m6rec_lite.data import DataError
from m6rec_lite.serving import Canary, DriftMonitor, ks_drift, psi, psi_threshold


def test_psi_of_two_bins_by_hand() -> None:
    reference, sample = np.array([0.0, 0, 1, 1]), np.array([1.0, 1, 1, 1])
    p, q = np.array([2.5, 2.5]) / 5, np.array([0.5, 4.5]) / 5
    assert psi(reference, sample, bins=2) == pytest.approx(((p - q) * np.log(p / q)).sum())


def test_psi_is_zero_for_the_same_values_and_ignores_monotone_scales() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 400))
    assert psi(x, x) == 0
    assert psi(np.exp(x), np.exp(y + 1)) == pytest.approx(psi(x, y + 1))
    assert psi(x, y + 1) > 0.5
    assert ks_drift(x, y + 1)[1] < 1e-6
    assert ks_drift(x, x) == (0.0, 1.0)


def test_the_threshold_is_exceeded_as_rarely_as_it_says() -> None:
    draws = np.random.default_rng(1)
    limit = psi_threshold(500, 200, level=0.95)
    above = [psi(draws.normal(size=500), draws.normal(size=200)) > limit for _ in range(600)]
    assert 0.02 < np.mean(above) < 0.08
    assert psi_threshold(50, 50) > 0.25 > psi_threshold(1000, 1000)  # the usual rule is for no n


def test_a_monitor_reports_only_what_changed() -> None:
    draws = np.random.default_rng(2)
    names = {"score": draws.normal(size=500), "length": draws.poisson(3, 500)}
    monitor = DriftMonitor(names, window=200, least=100)
    monitor.observe("score", draws.normal(2, 1, 50))
    assert monitor.report().empty
    monitor.observe("score", draws.normal(2, 1, 150))
    monitor.observe("length", draws.poisson(3, 5000))
    monitor.observe("unheard of", np.ones(900))
    assert monitor.report()["alarm"].to_dict() == {"score": True, "length": False}
    monitor.observe("score", draws.normal(size=200))
    assert not monitor.report()["alarm"].any()


def test_values_that_are_not_numbers_are_refused() -> None:
    for wrong in ([], [math.nan], [[1.0]]):
        with pytest.raises(DataError, match="sample must be"):
            psi(np.ones(3), np.array(wrong))


def test_a_canary_with_a_worse_model_raises_the_alarm_and_an_equal_one_does_not() -> None:
    draws = np.random.default_rng(3)
    for rate, alarm in ((0.02, True), (0.2, False), (0.35, False)):
        canary = Canary("new", share=0.3)
        for user in range(2000):
            canary.record(user, draws.random() < (rate if canary.is_treated(user) else 0.2))
            canary.record(user, True)  # the second event of a user does not count
        assert canary.alarm == alarm
        assert canary.difference == pytest.approx(rate - 0.2, abs=0.06)
        assert 0.25 < canary.users[True] / 2000 < 0.35
    with pytest.raises(ValueError, match="share"):
        Canary("new", share=1.0)
