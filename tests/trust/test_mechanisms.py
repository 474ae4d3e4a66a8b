"""Laplace and Gaussian mechanisms: their definition, exactly and by samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from m6rec_lite.trust import (
    epsilon_lower_bound,
    gaussian_delta,
    gaussian_mechanism,
    gaussian_sigma,
    laplace_mechanism,
)


@settings(deadline=None)
@given(st.floats(0.1, 5), st.floats(-3, 3))
def test_the_ratio_of_laplace_densities_is_at_most_exp_epsilon(epsilon: float, x: float) -> None:
    ratio = stats.laplace.logpdf(x, 0, 1 / epsilon) - stats.laplace.logpdf(x, 1, 1 / epsilon)
    assert abs(ratio) <= epsilon + 1e-9


def test_laplace_noise_has_the_scale_of_the_promise() -> None:
    noise = laplace_mechanism(
        np.zeros(40_000), sensitivity=3, epsilon=2, rng=np.random.default_rng(0)
    )
    assert np.abs(noise).mean() == pytest.approx(1.5, rel=0.03)
    assert abs(noise.mean()) < 0.05


@settings(deadline=None)
@given(st.floats(0.05, 20), st.floats(1e-8, 0.3), st.floats(0.1, 50))
def test_sigma_is_the_inverse_of_delta(epsilon: float, delta: float, sensitivity: float) -> None:
    sigma = gaussian_sigma(epsilon, delta, sensitivity)
    assert gaussian_delta(sigma, epsilon, sensitivity) == pytest.approx(delta, rel=1e-6)


def test_delta_agrees_with_integration() -> None:
    sigma, epsilon = 1.3, 0.7
    x = np.linspace(-30, 30, 2_000_001)
    p, q = stats.norm.pdf(x, 1, sigma), stats.norm.pdf(x, 0, sigma)
    integral = np.trapezoid(np.maximum(p - math.exp(epsilon) * q, 0), x)
    assert gaussian_delta(sigma, epsilon) == pytest.approx(integral, rel=1e-5)


def test_the_textbook_sigma_breaks_its_promise_at_a_large_epsilon() -> None:
    def textbook(epsilon: float) -> float:
        return math.sqrt(2 * math.log(1.25 / 1e-5)) / epsilon

    assert gaussian_delta(textbook(0.5), 0.5) < 1e-5
    assert gaussian_delta(textbook(10.0), 10.0) > 1e-5


def test_gaussian_noise_has_the_deviation_of_the_promise() -> None:
    promise = {"sensitivity": 2.0, "epsilon": 1.0, "delta": 1e-5}
    noise = gaussian_mechanism(np.zeros(40_000), **promise, rng=np.random.default_rng(0))
    assert noise.std() == pytest.approx(gaussian_sigma(1.0, 1e-5, 2.0), rel=0.03)


def test_the_audit_finds_too_little_noise_and_accepts_enough() -> None:
    def outputs(value: float, scale: float, seed: int) -> np.ndarray:
        return value + np.random.default_rng(seed).laplace(scale=scale, size=20_000)

    honest = epsilon_lower_bound(outputs(1, 1.0, 0), outputs(0, 1.0, 1))
    assert 0.8 < honest <= 1.0
    assert epsilon_lower_bound(outputs(1, 0.4, 0), outputs(0, 0.4, 1)) > 1.5
    assert epsilon_lower_bound(outputs(1, 1.0, 0), outputs(1, 1.0, 1)) < 0.1


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan])
def test_an_epsilon_that_is_not_above_0_is_refused(epsilon: float) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="epsilon must be > 0"):
        laplace_mechanism(0.0, sensitivity=1, epsilon=epsilon, rng=rng)
    with pytest.raises(ValueError, match="epsilon must be > 0"):
        gaussian_sigma(epsilon, 1e-5)
    with pytest.raises(ValueError, match="epsilon must be > 0"):
        gaussian_delta(1.0, epsilon)


def test_other_bad_input_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="delta must lie strictly between 0 and 1"):
        gaussian_mechanism(0.0, sensitivity=1, epsilon=1, delta=0, rng=rng)
    with pytest.raises(ValueError, match="sensitivity must be > 0"):
        laplace_mechanism(0.0, sensitivity=0, epsilon=1, rng=rng)
    with pytest.raises(ValueError, match="4 outputs or more"):
        epsilon_lower_bound(np.zeros(3), np.zeros(9))
