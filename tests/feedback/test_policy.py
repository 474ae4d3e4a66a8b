"""Softmax policy over slates and REINFORCE: exact probabilities and an unbiased gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.feedback import (
    Answers,
    CandidateScores,
    PolicyGradient,
    reward_to_go,
    slate_log_probs,
)
from tests.feedback.worlds import features

M, K = 4, 2
SLATES = np.array(list(itertools.permutations(range(M), K)))


def network(seed: int = 0, d: int = 3) -> CandidateScores:
    made = CandidateScores(d, M)
    with torch.no_grad():
        torch.manual_seed(seed)
        for weight in made.parameters():
            weight.normal_()
    return made.double()


@given(st.lists(st.floats(-5, 5), min_size=M, max_size=M))
@settings(max_examples=30, deadline=None)
def test_probabilities_of_all_slates_sum_to_one(logits):
    rows = torch.tensor([logits], dtype=torch.float64).expand(len(SLATES), -1)
    total = slate_log_probs(rows, torch.from_numpy(SLATES)).sum(dim=1).exp().sum()
    assert total.item() == pytest.approx(1)


def test_the_probability_of_a_slate_is_worked_out_by_hand():
    logits = torch.log(torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64))
    log_probs = slate_log_probs(logits, torch.tensor([[2, 0, 3]]))
    np.testing.assert_allclose(log_probs.exp(), [[3 / 10, 1 / 7, 4 / 6]])


def test_slates_are_drawn_with_these_probabilities():
    policy = PolicyGradient(network())
    x = np.repeat(features(1, M, 3).astype(np.float64), 30_000, axis=0)
    drawn = policy.select(x, K, np.random.default_rng(0))
    with torch.no_grad():
        rows = policy.network(torch.from_numpy(x[: len(SLATES)]))
        probability = slate_log_probs(rows, torch.from_numpy(SLATES)).sum(dim=1).exp().numpy()
    share = np.array([(drawn == slate).all(axis=1).mean() for slate in SLATES])
    np.testing.assert_allclose(share, probability, atol=0.012)


def gradient(loss: torch.Tensor, weights: torch.nn.Module) -> np.ndarray:
    grads = torch.autograd.grad(loss, list(weights.parameters()))
    return torch.cat([part.ravel() for part in grads]).numpy()


@pytest.mark.parametrize("use_baseline", [False, True])
def test_the_mean_estimate_is_the_gradient_of_the_expected_reward(use_baseline):
    """By enumeration of all slates; rewards depend on item and position."""
    policy = PolicyGradient(network(), use_baseline=use_baseline)
    policy.baseline = np.array([0.7, -0.3])
    x = features(1, M, 3).astype(np.float64)
    value = np.random.default_rng(1).random((M, K))
    rewards = value[SLATES, np.arange(K)]  # (slates, K)

    logits = policy.network(torch.from_numpy(x)).expand(len(SLATES), -1)
    probability = slate_log_probs(logits, torch.from_numpy(SLATES)).sum(dim=1).exp()
    exact = gradient((probability * torch.from_numpy(rewards.sum(axis=1))).sum(), policy.network)
    estimate = sum(
        p * gradient(policy.loss(Answers(x, slate[None], reward[None], np.ones(K))), policy.network)
        for p, slate, reward in zip(probability.tolist(), SLATES, rewards, strict=True)
    )
    np.testing.assert_allclose(-estimate, exact, atol=1e-10)


def test_a_good_baseline_lowers_the_variance():
    x = features(1, M, 3).astype(np.float64)
    rewards = 5 + np.random.default_rng(1).random((len(SLATES), K))
    spread = {}
    for use_baseline in (False, True):
        policy = PolicyGradient(network(), use_baseline=use_baseline)
        policy.baseline = reward_to_go(rewards).mean(axis=0)
        parts = [
            gradient(policy.loss(Answers(x, s[None], r[None], np.ones(K))), policy.network)
            for s, r in zip(SLATES, rewards, strict=True)
        ]
        spread[use_baseline] = np.var(parts, axis=0).sum()
    assert spread[True] < spread[False] / 10


def test_reward_to_go_sums_from_each_position_on():
    sums = reward_to_go(np.array([[1.0, 0, 2], [0, 1, 0]]))
    np.testing.assert_array_equal(sums, [[3, 2, 2], [1, 1, 0]])


def test_the_baseline_is_that_of_before_the_update():
    policy = PolicyGradient(network(), decay=0.9)
    x = features(2, M, 3).astype(np.float64)
    policy.update(Answers(x, SLATES[:2], np.array([[1.0, 0], [1, 1]]), np.ones(K)))
    np.testing.assert_allclose(policy.baseline, [1.5, 0.5])
    policy.update(Answers(x, SLATES[:2], np.zeros((2, K)), np.ones(K)))
    np.testing.assert_allclose(policy.baseline, [1.35, 0.45])


def test_it_starts_as_the_recommenders_ranking_and_greedy_stays_so():
    start = CandidateScores(3, M, start=1, scale=2.0)
    policy = PolicyGradient(start, greedy=True)
    x = features(5, M, 3)
    slates = policy.select(x, K, np.random.default_rng(0))
    np.testing.assert_array_equal(slates, np.argsort(-x[..., 1], axis=1)[:, :K])
    policy.update(Answers(x, slates, np.ones((5, K)), np.ones(K)))
    np.testing.assert_array_equal(start.weights.detach(), [0, 2, 0])
    assert not start.bias.any()


def test_it_learns_which_candidate_is_accepted():
    rng, policy = np.random.default_rng(0), PolicyGradient(CandidateScores(3, M), lr=0.05)
    rates, x = np.array([0.1, 0.8, 0.2, 0.1]), features(8, M, 3)
    for _ in range(150):
        slates = policy.select(x, 1, rng)
        rewards = (rng.random((8, 1)) < rates[slates]).astype(float)
        policy.update(Answers(x, slates, rewards, np.ones(1)))
    with torch.no_grad():
        chosen = policy.network(torch.from_numpy(x)).argmax(dim=1)
    assert (chosen == 1).all()


def test_a_nan_reward_never_reaches_the_weights():
    policy = PolicyGradient(CandidateScores(3, M))
    before = policy.network.weights.detach().clone()
    with pytest.raises(ValueError, match="NaN or infinite"):
        policy.update(Answers(features(1, M, 3), SLATES[:1], np.array([[np.nan, 0]]), np.ones(K)))
    assert torch.equal(policy.network.weights, before)


@pytest.mark.parametrize(("setting", "value"), [("lr", 0.0), ("decay", 1.5)])
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        PolicyGradient(CandidateScores(3, M), **{setting: value})
