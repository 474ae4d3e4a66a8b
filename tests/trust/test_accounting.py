"""How much privacy a run spends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.trust import epsilon_spent, gaussian_delta, noise_for_epsilon
from m6rec_lite.trust.accounting import ORDERS


def test_one_step_with_everybody_is_the_gaussian_mechanism() -> None:
    """The bound is above the exact epsilon, and not far above."""
    epsilon = epsilon_spent(2.0, 1.0, 1, 1e-5)
    assert gaussian_delta(2.0, epsilon) < 1e-5
    assert gaussian_delta(2.0, 0.85 * epsilon) > 1e-5


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 20), st.floats(0.01, 0.9), st.integers(1, 200))
def test_less_noise_more_steps_and_larger_samples_spend_more(
    noise: float, rate: float, steps: int
) -> None:
    spent = epsilon_spent(noise, rate, steps, 1e-5)
    assert epsilon_spent(1.2 * noise, rate, steps, 1e-5) <= spent
    assert epsilon_spent(noise, rate, steps + 10, 1e-5) >= spent
    assert epsilon_spent(noise, min(1.0, 1.1 * rate), steps, 1e-5) >= spent * (1 - 1e-9)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0, 10.0])
def test_the_noise_that_is_found_keeps_the_budget(epsilon: float) -> None:
    noise = noise_for_epsilon(epsilon, 0.1, 50, 1e-5)
    spent = epsilon_spent(noise, 0.1, 50, 1e-5)
    assert spent <= epsilon
    assert spent == pytest.approx(epsilon, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epsilon": 0}, "epsilon must be > 0"),
        ({"epsilon": -3}, "epsilon must be > 0"),
        ({"delta": 1}, "delta must lie strictly"),
        ({"sample_rate": 0}, "sample_rate must be > 0"),
        ({"sample_rate": 1.2}, "sample_rate must be > 0 and <= 1"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_bad_input_is_refused(change: dict, match: str) -> None:
    settings = {"epsilon": 1.0, "sample_rate": 0.1, "steps": 10, "delta": 1e-5}
    with pytest.raises(ValueError, match=match):
        noise_for_epsilon(**settings | change)


def test_an_epsilon_out_of_reach_says_what_to_change() -> None:
    with pytest.raises(ValueError, match="a larger epsilon, fewer steps"):
        noise_for_epsilon(1e-6, 1.0, 10_000, 1e-12)


@pytest.mark.extra
@pytest.mark.parametrize(
    ("noise", "rate", "steps"), [(1.0, 0.1, 50), (4.0, 0.3, 20), (0.7, 0.02, 500)]
)
def test_opacus_counts_the_same(noise: float, rate: float, steps: int) -> None:
    accountants = pytest.importorskip("opacus.accountants")
    peer = accountants.RDPAccountant()
    peer.history = [(noise, rate, steps)]
    ours = epsilon_spent(noise, rate, steps, 1e-5)
    assert ours == pytest.approx(peer.get_epsilon(1e-5, alphas=ORDERS.tolist()), rel=1e-4)
    assert 0.95 * ours < peer.get_epsilon(1e-5) <= ours + 1e-9  # with fractional orders too
    tighter = accountants.PRVAccountant()  # adds up the distributions, not their divergences
    tighter.history = peer.history
    assert 0.6 * ours < tighter.get_epsilon(1e-5) <= ours
