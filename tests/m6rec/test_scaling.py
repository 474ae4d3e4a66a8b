"""Scaling laws: planted ones are found, and what cannot be a law is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.m6rec.cost.scaling import ScalingLaw, fit_law, resampled_laws

N, D = (grid.ravel() for grid in np.meshgrid([1.5e5, 3e5, 6e5, 1.2e6], [7.5e5, 1.5e6, 3e6, 6e6]))
PLANTED = ScalingLaw(floor=0.3, a=40.0, alpha=0.35, b=300.0, beta=0.4)


def test_a_law_on_paper() -> None:
    law = ScalingLaw(floor=1.0, a=8.0, alpha=0.5, b=6.0, beta=1.0)
    assert law.loss(16, 3) == 1.0 + 8 / 4 + 6 / 3
    np.testing.assert_allclose(law.loss([16, 64], 3), [5.0, 4.0])


def test_a_planted_law_is_found_again() -> None:
    result = fit_law(N, D, PLANTED.loss(N, D))
    for name in ("floor", "a", "alpha", "b", "beta"):
        assert getattr(result, name) == pytest.approx(getattr(PLANTED, name), rel=1e-3)
    # Far beyond the grid, too.
    np.testing.assert_allclose(result.loss(3e8, 6e9), PLANTED.loss(3e8, 6e9), rtol=1e-3)


def test_noise_moves_a_law_little_and_one_wild_run_hardly() -> None:
    rng = np.random.default_rng(0)
    noisy = PLANTED.loss(N, D) * np.exp(rng.normal(0, 0.003, len(N)))
    wild = noisy.copy()
    wild[5] *= 1.5  # a run that diverged
    truth = PLANTED.loss(N, D)
    for losses in (noisy, wild):
        np.testing.assert_allclose(fit_law(N, D, losses).loss(N, D), truth, rtol=0.012)


@given(
    st.floats(0.01, 2), st.floats(1, 100), st.floats(0.1, 0.9), st.floats(1, 1000),
    st.floats(0.1, 0.9),
)  # fmt: skip
def test_more_of_either_never_hurts(floor, a, alpha, b, beta):
    law = ScalingLaw(floor, a, alpha, b, beta)
    assert law.loss(2e6, 1e7) <= law.loss(1e6, 1e7)
    assert law.loss(1e6, 2e7) <= law.loss(1e6, 1e7)


@settings(max_examples=1, deadline=None)
@given(st.integers(0, 1000))
def test_more_noise_makes_a_law_less_sure(seed) -> None:
    widths = []
    for noise in (0.001, 0.03):
        rng = np.random.default_rng(seed)
        losses = PLANTED.loss(N, D) * np.exp(rng.normal(0, noise, len(N)))
        laws = resampled_laws(N, D, losses, n=8, seed=seed)
        assert len(laws) == 8
        widths.append(np.std([law.loss(1e7, 1e8) for law in laws]))
    assert widths[0] < widths[1]


def test_the_same_seed_draws_the_same_laws() -> None:
    losses = PLANTED.loss(N, D) * np.exp(np.random.default_rng(1).normal(0, 0.01, len(N)))
    first, again, other = (resampled_laws(N, D, losses, n=2, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("n", "d", "y", "match"),
    [
        (N[:4], D[:4], D[:4], "at least five runs"),
        (np.full(16, 1e6), D, D, "1 sizes"),
        (np.where(N > 4e5, 1e6, 2e5), D, D, "2 sizes"),
        (N, np.full(16, 1e6), N, "1 lengths"),
        (N, D, np.append(D[:-1], -1.0), "above 0"),
        (N, D, np.append(D[:-1], np.nan), "finite"),
        (N, D, D[:3], "one length"),
    ],
)
def test_what_makes_no_law_is_refused(n, d, y, match) -> None:
    with pytest.raises(ValueError, match=match):
        fit_law(n, d, y)
